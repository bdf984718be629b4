"""What does the evidence alone support, when there is no model to read it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from llm import confidence
from llm.analysis import Analysis
from llm.culprits import chance, service_of
from llm.evidence import CHANGE, RELATED_ALERT, RUNBOOK, SIMILAR, SUSPECT, Case, EvidenceItem
from llm.fence import neutral
from llm.naming import particulars, short_name
from llm.planted import harmless, reads_like_an_order
from llm.relevance import identity
from llm.wording import clipped, labels_text, relative_time

_MOST_LISTED = 6
_SUMMARY = 160
_RELEVANT = 0.2  # what weighs less is listed, but not called a likely cause


def evidence_only(case: Case, reason: str | None, *, question_digest: str = "", duration_s: float = 0.0) -> Analysis:
    """An analysis made of this case's own evidence: the likeliest lead, what to look at first, and the rest by weight.

    `reason` is why no model was asked or believed. It is the outcome `evidence_only` whatever there is; the less there
    is, the lower its confidence.
    """
    return Analysis(
        outcome="evidence_only",
        model_name=None,
        root_cause=_root_cause(case),
        mitigation=first_steps(case),
        analysis=listing(case),
        cited=_cited(case),
        suspect=_suspect(case),
        confidence=confidence.without_model(case),
        question_digest=question_digest,
        reason=reason,
        duration_s=duration_s,
    )


def insufficient(case: Case, model: str, *, question_digest: str, said: str = "") -> Analysis:
    """An analysis that says that a model read the evidence and found no cause in it."""
    return Analysis(
        outcome="insufficient",
        model_name=model,
        root_cause=f"The evidence does not show why {_alert(case)} fired.",
        mitigation=first_steps(case),
        analysis=f"{said}\n\n{listing(case)}".strip(),
        cited=_cited(case),
        confidence=confidence.when_unknown(case),
        question_digest=question_digest,
        reason="the model found no cause in the evidence",
    )


def first_steps(case: Case) -> str:
    """What to look at first, in our own words; nothing here does harm when it is wrong."""
    steps = list(_steps(case))
    return "\n".join(f"{place}. {step}" for place, step in enumerate(steps, start=1))


def listing(case: Case) -> str:
    """The evidence in order of weight, one line each, and what tells this alert from all others."""
    items = case.beside_the_alert
    if not items:
        return (
            f"Nothing but {_alert(case)} itself is recorded: no change, no other alert, no anomaly around its start. "
            "Change events and metrics of the same service would make the next analysis better.\n"
            f"{particulars(case.subject)}"
        )
    shown = [f"- {item.id}, {_kind(item)}{_when(case, item)}: {_told(item)}" for item in items[:_MOST_LISTED]]
    rest = len(items) - _MOST_LISTED
    more = [f"- and {rest} more of less weight"] if rest > 0 else []
    head = f"Evidence around {_alert(case)}, the strongest first:"
    return "\n".join((head, *shown, *more, *_ranking(case), particulars(case.subject)))


def _ranking(case: Case) -> Iterator[str]:
    """The suspects in a line, likeliest first."""
    told = [
        f"{neutral(service)} ({known:.2f})"
        for item in case.suspects[:_MOST_LISTED]
        if (service := service_of(item)) and (known := chance(item)) is not None
    ]
    if told:
        yield f"Suspects by their metrics, with the chance that they are the cause: {', '.join(told)}."


def _suspect(case: Case) -> str | None:
    leads = list(_leads(case))
    return service_of(leads[0]) if leads and leads[0].kind == SUSPECT else None


def _root_cause(case: Case) -> str:
    leads = list(_leads(case))
    if not leads:
        return f"No cause of {_alert(case)} can be told from what is recorded."
    first, *others = leads
    if _is_the_same_elsewhere(case, first):
        text = f"{_alert(case)} is not alone: see {_lead(case, first)}. What they have in common is likelier the cause."
    else:
        text = f"The likeliest lead for {_alert(case)} is {_lead(case, first)}."
    if others:
        text += f" Also to be looked at: {'; '.join(_lead(case, item) for item in others)}."
    return text


def _leads(case: Case) -> Iterator[EvidenceItem]:
    """The strongest item, then the best of each kind that says something else; at most three, and no runbook."""
    # What to do about a cause is no sign of it.
    relevant = [item for item in case.beside_the_alert if item.weight >= _RELEVANT and item.kind != RUNBOOK]
    kinds: list[str] = []
    for item in (*relevant[:1], *_changes_of_the_suspect(case, relevant), *relevant[1:]):
        if item.kind in kinds or len(kinds) == 3:
            continue
        kinds.append(item.kind)
        yield _first(case, relevant, item)


def _changes_of_the_suspect(case: Case, relevant: list[EvidenceItem]) -> Iterator[EvidenceItem]:
    """What was changed of the service that leads, or names it: it says why that service, and what to undo."""
    service = service_of(case.suspects[0]) if relevant and relevant[0].kind == SUSPECT else None
    if service is None:
        return
    named = re.compile(rf"(?<![\w-]){re.escape(service)}(?![\w-])")
    for item in relevant:
        if item.kind == CHANGE and (service in item.labels.values() or named.search(item.summary)):
            yield item


def _first(case: Case, relevant: list[EvidenceItem], heaviest: EvidenceItem) -> EvidenceItem:
    """Which of its kind is told for the heaviest one: alerts go by time, suspects by their ranking."""
    match heaviest.kind:
        case "related_alert":
            return _earliest(case, relevant)
        case "suspect":
            return case.suspects[0]
        case _:
            return heaviest


def _earliest(case: Case, items: list[EvidenceItem]) -> EvidenceItem:
    """Of several alerts at once, the first one stands nearest to the cause."""
    alerts = [item for item in items if item.kind == RELATED_ALERT]
    return min(alerts, key=lambda item: (item.at is None, item.at or _start(case), -item.weight))


def _steps(case: Case) -> Iterator[str]:
    for place, item in enumerate(_leads(case)):
        when = relative_time(item.at, _start(case))
        match item.kind:
            case "change":
                yield (
                    f"Compare the change in {item.id} ({_told(item)}, {when}) with the symptom; "
                    "when it explains it, undo that change the way your team undoes changes."
                )
            case "related_alert" if _is_the_same_elsewhere(case, item):
                yield f"Compare {item.id} ({_told(item)}, {when}), the same alert elsewhere: what have both in common?"
            case "related_alert":
                first = "" if place else " first"
                yield f"Look at {item.id}{first} ({_told(item)}, {when}): it may be the cause of this alert."
            case "suspect":
                yield f"Look at {_named(item)} first: {_told(item)} ({item.id})."
            case "similar_incident":
                yield f"See what helped in {item.id}: {_told(item)}."
            case "anomaly":
                yield f"Open the series of {item.id} ({_told(item)}, {when}) around the alert's start."
            case _:
                yield f"Look at {item.id} ({_told(item)}, {when})."
    runbook = next((item for item in case.beside_the_alert if item.kind == RUNBOOK), None)
    if runbook is not None and runbook.weight >= _RELEVANT:
        yield f"Read the runbook in {runbook.id}: {_told(runbook)}."
    where = _where(case.subject.labels, 3)
    yield f"Check the state of {where} now." if where else "Check the alerting rule's own expression now."


def _is_the_same_elsewhere(case: Case, item: EvidenceItem) -> bool:
    """Whether it is an alert of the same rule, which is no cause of this one but suffers with it."""
    return item.kind == RELATED_ALERT and item.summary.partition(":")[0] == case.subject.alert_name


def _cited(case: Case) -> tuple[str, ...]:
    return tuple(item.id for item in _leads(case)) or (case.evidence[0].id,)


def _lead(case: Case, item: EvidenceItem) -> str:
    return f"{_kind(item)} {_told(item)} ({item.id}{_when(case, item)})"


def _when(case: Case, item: EvidenceItem) -> str:
    # A runbook is of no time.
    return "" if item.kind == RUNBOOK else f", {relative_time(item.at, _start(case))}"


def _kind(item: EvidenceItem) -> str:
    known = {CHANGE: "change", RELATED_ALERT: "alert", SIMILAR: "similar incident", SUSPECT: "suspect"}
    return f"the {known.get(item.kind) or neutral(item.kind).replace('_', ' ')}"


def _named(item: EvidenceItem) -> str:
    name = service_of(item)
    return neutral(name) if name and not reads_like_an_order(name) else "the suspect"


def _told(item: EvidenceItem) -> str:
    """The item's summary and where it was, unless it tells somebody to do something: then only where it was."""
    where = _where(item.labels, 2)
    if item.kind == RUNBOOK:
        # Its text is full of orders, which are our own people's; which one it is says enough.
        named = (item.facts.get("heading"), item.facts.get("path"))
        heading, path = (clipped(neutral(str(told or "")), _SUMMARY) for told in named)
        return f'"{heading}" ({path})' if path else f'"{heading}"'
    if reads_like_an_order(item.summary, is_title=item.kind == CHANGE):
        return f"on {where}" if where else "with a text that reads like an instruction"
    summary = f'"{clipped(neutral(item.summary), _SUMMARY)}"'
    return f"{summary} on {where}" if where else summary


def _alert(case: Case) -> str:
    return short_name(case.subject)


def _where(labels: Mapping[str, str], most: int) -> str:
    return clipped(neutral(labels_text(identity(harmless(labels)), most)), _SUMMARY)


def _start(case: Case) -> datetime:
    return case.subject.starts_at
