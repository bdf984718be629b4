"""What is known already?  Incidents like this one with what they were, and the sections of runbooks about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from db.queries import runbooks, similar_incidents
from db.queries.incident_evidence import IncidentRecorded
from db.queries.runbooks import SectionFound
from db.queries.similar_incidents import KnownCause, PastIncident
from llm.evidence import RUNBOOK, SIMILAR, EvidenceItem, Fact
from llm.runbook_match import LEAST_SCORE, Link, Question, Text, link_of, match, stems_of
from llm.similar import LEAST_SIMILARITY, Profile, lexemes, similarities, weigh
from tasks.evidence import alert_summary
from tasks.suspects import SuspectFound

_MOST_PAST, _MOST_SECTIONS = 3, 3
_MOST_COMPARED = 30
_MOST_ALERTS = 50
_MOST_SUSPECTS = 3
_LONGEST_BODY = 700
_RUNBOOK_ANNOTATIONS = ("runbook_url", "runbook", "playbook", "playbook_url")


@dataclass(frozen=True, slots=True)
class Near:
    """What comes near to the incident by its meaning: the cosine by id."""

    incidents: Mapping[int, float] = field(default_factory=dict)
    sections: Mapping[int, float] = field(default_factory=dict)


def said_of(recorded: IncidentRecorded) -> str:
    """The incident in words, as it is compared with others."""
    incident = recorded.incident
    said = list(dict.fromkeys(alert_summary(alert) for alert in recorded.alerts[:_MOST_ALERTS]))
    return " \n ".join((incident.title, incident.summary, *said, *incident.services[:20]))[:8_000]


def recalled(
    session: Session, recorded: IncidentRecorded, suspects: Sequence[SuspectFound], near: Near
) -> Iterator[EvidenceItem]:
    """Past incidents whose cause is known and sections of runbooks, each by how much they have to do with this one."""
    yield from _past(session, recorded, suspects, near)
    yield from _sections(session, recorded, suspects, near)


def _past(
    session: Session, recorded: IncidentRecorded, suspects: Sequence[SuspectFound], near: Near
) -> Iterator[EvidenceItem]:
    incident = recorded.incident
    names = lexemes((*incident.alert_names, *incident.services))
    found = similar_incidents.candidates(
        session,
        incident.id,
        before=recorded.since,
        lexemes=names,
        services=incident.services,
        others=list(near.incidents),
    )
    present = Profile(
        services=frozenset(incident.services),
        alert_names=frozenset(incident.alert_names),
        text=said_of(recorded),
        suspect=suspects[0].service if suspects else None,
    )
    meant = {place: near.incidents[past.id] for place, past in enumerate(found) if past.id in near.incidents}
    alike = similarities(present, [_profile(past) for past in found], meant)
    best = sorted(zip(alike, found, strict=True), key=lambda pair: (-pair[0], -pair[1].id))[:_MOST_COMPARED]
    best = [(likeness, past) for likeness, past in best if likeness >= LEAST_SIMILARITY]
    known = similar_incidents.known_causes(session, [past.id for _, past in best]) if best else {}
    items = (_past_item(past, likeness, known[past.id]) for likeness, past in best if past.id in known)
    told = [item for item in items if item is not None]
    yield from sorted(told, key=lambda item: -item.weight)[:_MOST_PAST]


def _profile(past: PastIncident) -> Profile:
    return Profile(
        services=frozenset(past.services),
        alert_names=frozenset(past.alert_names),
        text=" ".join((past.title, past.summary, past.confirmed_cause or "")),
        suspect=str(past.suspects[0].get("service")) if past.suspects else None,
    )


def _past_item(past: PastIncident, likeness: float, known: KnownCause) -> EvidenceItem | None:
    """None when nobody knows what that incident was, or people say that it was not what the model said."""
    if past.confirmed_cause is not None:
        told = f"{past.title}; its cause, confirmed by a person: {past.confirmed_cause}"
    elif known.said is not None and known.unhelpful <= known.helpful:
        judged = ", which helped" if known.helpful else ""
        told = f"{past.title}; put down to{judged}: {known.said}"
    else:
        return None
    is_confirmed = past.confirmed_cause is not None
    lasted = None if past.resolved_at is None else round((past.resolved_at - past.opened_at).total_seconds() / 60)
    facts: dict[str, Fact] = {
        "id": past.id,
        "similarity": round(likeness, 2),
        "confirmed": is_confirmed,
        "minutes": lasted,
        "judged_helpful": known.helpful or None,
    }
    return EvidenceItem(
        kind=SIMILAR,
        summary=told,
        at=past.opened_at,
        labels=past.labels,
        weight=weigh(likeness, is_confirmed=is_confirmed, was_helpful=known.helpful > known.unhelpful),
        facts=facts,
    )


def _sections(
    session: Session, recorded: IncidentRecorded, suspects: Sequence[SuspectFound], near: Near
) -> Iterator[EvidenceItem]:
    question = Question(
        alert_names=recorded.incident.alert_names,
        services=list(
            dict.fromkeys((*recorded.incident.services, *(one.service for one in suspects[:_MOST_SUSPECTS])))
        ),
        said=said_of(recorded),
        links=list(_links(recorded)),
    )
    anchors = [link.anchor or link.stem for link in question.links]
    stems = [link.stem for link in question.links if link.stem]
    stems += [stem for name in recorded.incident.alert_names[:_MOST_ALERTS] for stem in stems_of(name)]
    found = {section.id: section for section in runbooks.search(session, question.plain_words())}
    found |= {section.id: section for section in runbooks.linked(session, anchors, stems, list(near.sections))}
    sections = list(found.values())
    meant = {place: near.sections[one.id] for place, one in enumerate(sections) if one.id in near.sections}
    texts = [Text(one.path, one.heading, one.anchor, one.body) for one in sections]
    weights = match(question, texts, meant)
    best = sorted(zip(weights, sections, strict=True), key=lambda pair: (-pair[0], pair[1].id))
    yield from (_section_item(one, weight) for weight, one in best[:_MOST_SECTIONS] if weight >= LEAST_SCORE)


def _links(recorded: IncidentRecorded) -> Iterator[Link]:
    """Where the annotations of its alerts point, each once."""
    annotations = (alert.annotations for alert in recorded.alerts[:_MOST_ALERTS])
    urls = (told[name] for told in annotations for name in _RUNBOOK_ANNOTATIONS if name in told)
    links = (link_of(url) for url in dict.fromkeys(urls))
    yield from dict.fromkeys(link for link in links if link is not None)


def _section_item(section: SectionFound, weight: float) -> EvidenceItem:
    body = " ".join(section.body.split())[:_LONGEST_BODY]
    facts: dict[str, Fact] = {"id": section.id, "path": section.path, "heading": section.heading}
    return EvidenceItem(
        kind=RUNBOOK,
        summary=f"{section.heading} ({section.path}): {body}" if body else f"{section.heading} ({section.path})",
        weight=weight,
        facts=facts,
    )
