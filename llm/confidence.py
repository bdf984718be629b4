"""How sure may we be of a cause, judging by the evidence it rests on and never by the model's own word?

With w the weight of each cited item beside the alert itself (our measure of relevance, from 0 to 1):

    support    = 1 - product over the cited items of (1 - share * w)
                 where share is 0.45 for the strongest of its kind and 0.10 for the others of that kind
    before     = 0.15 * the largest w among cited changes, anomalies and suspects from before the alert
    agreement  = 0.6 + 0.4 * (largest w cited / largest w there is)
    confidence = (0.1 + 0.75 * support + before) * agreement, at most the caps below

Two kinds of evidence that agree count for more than two of one kind. More or heavier cited evidence never lowers it,
and stronger evidence that was left uncited does. The alert alone is worth 0.15. The caps: 0.4 when the heaviest item
weighs less than 0.3, 0.75 when all are of one kind, 0.95 always.

Where suspects were ranked by their metrics, the chance that the ranking gives to the service that is blamed counts,
since that is calibrated on cases whose cause is known. Cited evidence of other kinds about the same service adds to it:

    confidence = 1 - (1 - chance) * (1 - 0.4 * support of the other cited items about the service)

at most 0.4 when the chance is below 0.1. For another service than the suspects it is the confidence by the cited
evidence, times what the ranking leaves: 1 - the chance of the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from llm.culprits import chance, service_of, suspect_named
from llm.evidence import ANOMALY, CHANGE, RUNBOOK, SUSPECT, Case, EvidenceItem

MOST = 0.95
MOST_OF_ONE_KIND = 0.75
MOST_WHEN_WEAK = 0.4
OF_THE_ALERT_ALONE = 0.15
MOST_WITHOUT_MODEL = 0.35
MOST_WHEN_UNKNOWN = 0.2

_WEAK = 0.3
_FIRST_OF_A_KIND, _NEXT_OF_A_KIND = 0.45, 0.10
_CAUSES = {CHANGE, ANOMALY, SUSPECT}
# How far cited evidence about the same service adds to what the statistics give it.
_CORROBORATION = 0.4
_HARDLY_SUSPECT = 0.1
_CLOCK_ERROR = timedelta(seconds=60)


def of_cited(case: Case, cited: Iterable[str]) -> float:
    """How sure a cause is that rests on the cited evidence, from 0 to 0.95."""
    wanted = set(cited)
    telling = _telling(case)
    items = [item for item in telling if item.id in wanted]
    least = OF_THE_ALERT_ALONE if case.evidence[0].id in wanted else 0.0
    if not items:
        return least
    heaviest = max(item.weight for item in items)
    available = max(item.weight for item in telling)
    agreement = 0.6 + 0.4 * (heaviest / available if available else 0.0)
    raw = (0.1 + 0.75 * _support(items) + 0.15 * _before(case, items)) * agreement
    return round(max(least, min(raw, _cap(items, heaviest))), 3)


def of_cause(case: Case, service: str | None, cited: Iterable[str]) -> float:
    """How sure it is that this service is the cause, by the statistics and the cited evidence together."""
    wanted = set(cited)
    first = chance(case.suspects[0]) if case.suspects else None
    if first is None:
        return of_cited(case, wanted)
    known = chance(suspect_named(case, service))
    if known is None:
        return round(of_cited(case, wanted) * (1.0 - first), 3)
    about = [
        item for item in _telling(case) if item.id in wanted and item.kind != SUSPECT and service_of(item) == service
    ]
    sure = 1.0 - (1.0 - known) * (1.0 - _CORROBORATION * _support(about))
    return round(min(sure, MOST_WHEN_WEAK if known < _HARDLY_SUSPECT else MOST), 3)


def without_model(case: Case) -> float:
    """How sure the strongest evidence is when nobody reasoned about it.

    At most 0.35, unless it is a suspect: its chance needs nobody's reasoning.
    """
    telling = _telling(case)
    if telling and telling[0].kind == SUSPECT and (known := chance(case.suspects[0])) is not None:
        return round(min(known, MOST), 3)
    strongest = telling[:3]
    if not strongest:
        return 0.05
    return round(min(MOST_WITHOUT_MODEL, 0.5 * of_cited(case, (item.id for item in strongest))), 3)


def when_unknown(case: Case) -> float:
    """How far the listed evidence explains the alert when the model found no cause in it, at most 0.2."""
    return min(MOST_WHEN_UNKNOWN, without_model(case))


def _telling(case: Case) -> list[EvidenceItem]:
    """The evidence beside the alert; a runbook says what to do about a cause, and is no sign of it."""
    return [item for item in case.beside_the_alert if item.kind != RUNBOOK]


def _support(items: list[EvidenceItem]) -> float:
    left = 1.0
    kinds: set[str] = set()
    for item in sorted(items, key=lambda item: -item.weight):
        share = _NEXT_OF_A_KIND if item.kind in kinds else _FIRST_OF_A_KIND
        kinds.add(item.kind)
        left *= 1.0 - share * item.weight
    return 1.0 - left


def _before(case: Case, items: list[EvidenceItem]) -> float:
    latest = case.subject.starts_at + _CLOCK_ERROR
    earlier = (item.weight for item in items if item.kind in _CAUSES and item.at is not None and item.at <= latest)
    return max(earlier, default=0.0)


def _cap(items: list[EvidenceItem], heaviest: float) -> float:
    if heaviest < _WEAK:
        return MOST_WHEN_WEAK
    return MOST_OF_ONE_KIND if len({item.kind for item in items}) == 1 else MOST
