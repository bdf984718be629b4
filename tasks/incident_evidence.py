"""From rows to a case: what is known of an incident, in the analyst's own terms and weighed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.queries import evidence, incident_evidence, incidents
from db.queries.evidence import AlertNearby, AnomalyNearby, Recorded
from db.queries.incident_evidence import IncidentRecorded
from db.session import Database
from llm.evidence import ANOMALY, CHANGE, RELATED_ALERT, SUSPECT, Case, EvidenceItem, Fact, Subject, number
from llm.places import place_of
from llm.topology import Topology
from sensus import metrics, times
from sensus.settings import Settings
from tasks import call_graph, change_evidence, suspects
from tasks.change_evidence import ChangesMade
from tasks.evidence import alert_summary, anomaly_facts, anomaly_summary, items_around, subject_of
from tasks.meaning import near_to
from tasks.recall import recalled, said_of
from tasks.suspects import Material, SuspectFound

# That it is a member says more than what labels share, and less than that it explains the others.
_MEMBER, _FIRST_MEMBER, _MEMBER_ANOMALY = 0.45, 0.6, 0.55
# A suspect of whom nothing is sure weighs less than an alert, one that is almost certain more than anything else.
_SUSPECT, _BY_CHANCE = 0.3, 0.65
_MOST_KINDS = 12


@dataclass(frozen=True, slots=True)
class Gathered:
    """All rows that a question about an incident rests on."""

    recorded: IncidentRecorded
    around: Recorded | None  # of the lead
    topology: Topology
    material: Material  # for the ranking of suspects
    changes: ChangesMade


def incident_case(database: Database, incident_id: int, settings: Settings, *, about: int | None = None) -> Case | None:
    """The question about an incident, with the evidence ranked and numbered; None when it is gone or empty.

    `about` is an alert of it that somebody asks about, in place of the one that leads it.
    """
    with database.transaction() as session:
        gathered = _gathered(session, incident_id, settings, about)
    if gathered is None:
        return None
    recorded = gathered.recorded
    with metrics.timed(metrics.ranking_duration):
        found = suspects.ranked(gathered.material)
    near = near_to(database, settings, incident_id, said_of(recorded))
    with database.transaction() as session:
        known = list(recalled(session, recorded, found, near))
        if about is None:
            as_data = [suspect.as_data() for suspect in found]
            incidents.keep_suspects(session, incident_id, recorded.incident.state, as_data)
    items = (*_suspect_items(found, recorded), *_items(gathered, found, settings), *known)
    return number(_subject(recorded), items, asked_at=times.now())


def _gathered(session: Session, incident_id: int, settings: Settings, about: int | None) -> Gathered | None:
    recorded = incident_evidence.of_incident(session, incident_id, about=about)
    if recorded is None or not (recorded.lead or recorded.anomalies):
        return None
    lead = recorded.lead
    topology = call_graph.known(session)
    return Gathered(
        recorded=recorded,
        around=None if lead is None else evidence.around(session, [lead.id]).get(lead.id),
        topology=topology,
        material=suspects.gather(session, recorded, topology, settings.service_labels, now=times.now()),
        changes=change_evidence.gather(session, recorded, topology, settings.service_labels),
    )


def _suspect_items(found: Sequence[SuspectFound], recorded: IncidentRecorded) -> Iterator[EvidenceItem]:
    """The suspects as evidence: as heavy as their chance, the others by how near they come to the first."""
    for rank, suspect in enumerate(found, start=1):
        near = suspect.score / found[0].score
        facts: dict[str, Fact] = {
            "rank": rank,
            "service": suspect.service,
            "metric": suspect.metric,
            "score": round(suspect.score, 3),
            "confidence": round(suspect.confidence, 3),
        }
        yield EvidenceItem(
            kind=SUSPECT,
            summary=_suspect_summary(suspect),
            at=recorded.since,
            labels={"service": suspect.service},
            weight=_SUSPECT * near + _BY_CHANCE * suspect.confidence,
            facts=facts,
        )


def _suspect_summary(suspect: SuspectFound) -> str:
    told = f"{suspect.metric} of {suspect.service}"
    if suspect.before is None or suspect.during is None:
        return f"{told} is unusual" if suspect.during is not None else f"{told} stopped"
    if suspect.before == suspect.during:
        return f"{told} is unusual, at {suspect.during:.4g}"
    return f"{told} went from {suspect.before:.4g} to {suspect.during:.4g}"


def _items(gathered: Gathered, found: Sequence[SuspectFound], settings: Settings) -> Iterator[EvidenceItem]:
    recorded = gathered.recorded
    members = {alert.id for alert in recorded.alerts}
    yield from _member_items(recorded, settings.service_labels)
    for anomaly in recorded.anomalies:
        yield _anomaly_item(anomaly)
    shown = {anomaly.id for anomaly in recorded.anomalies}
    yield from change_evidence.change_items(
        gathered.changes, recorded, gathered.topology, found, settings.service_labels
    )
    if gathered.around is not None:
        for item in items_around(gathered.around):
            row_id = item.facts.get("id")
            known = (item.kind == RELATED_ALERT and row_id in members) or (item.kind == ANOMALY and row_id in shown)
            # Changes are compared with the whole incident, above.
            if not known and item.kind != CHANGE:
                yield item


def _member_items(recorded: IncidentRecorded, service_labels: Sequence[str]) -> Iterator[EvidenceItem]:
    """The alerts of the incident, those of one name and place as one, the earliest first."""
    kinds: dict[tuple[str, str | None], list[AlertNearby]] = {}
    for alert in recorded.alerts:
        kinds.setdefault((alert.alert_name, place_of(alert.labels, service_labels).name), []).append(alert)
    lead_id = None if recorded.lead is None else recorded.lead.id
    weight = _FIRST_MEMBER
    for alerts in list(kinds.values())[:_MOST_KINDS]:
        first = alerts[0]
        if len(alerts) == 1 and first.id == lead_id:
            continue
        facts = {"id": first.id, "severity": first.severity, "status": first.status, "alerts": len(alerts)}
        summary = alert_summary(first) + (f" ({len(alerts)} such alerts)" if len(alerts) > 1 else "")
        yield EvidenceItem(
            kind=RELATED_ALERT, summary=summary, at=first.starts_at, labels=first.labels, weight=weight, facts=facts
        )
        weight = _MEMBER


def _anomaly_item(anomaly: AnomalyNearby) -> EvidenceItem:
    return EvidenceItem(
        kind=ANOMALY,
        summary=anomaly_summary(anomaly),
        at=anomaly.at,
        labels=anomaly.labels,
        weight=_MEMBER_ANOMALY,
        facts=anomaly_facts(anomaly),
    )


def _subject(recorded: IncidentRecorded) -> Subject:
    incident = recorded.incident
    told = _told(recorded.count, "alert"), _told(len(incident.services), "service")
    size = f"{' of '.join(told)}: {_listed(incident.services)}" if incident.services else told[0]
    if recorded.lead is not None:
        return subject_of(recorded.lead, incident=size)
    return Subject(
        alert_name=incident.title,
        severity=incident.severity,
        status="resolved" if incident.status == "resolved" else "firing",
        labels=incident.labels,
        annotations={},
        description=None,
        starts_at=recorded.since,
        fingerprint=f"{incident.id:016x}",
        fingerprint_is_of_labels=False,
        incident=size,
    )


def _told(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    few = list(names)
    return ", ".join(few[:6]) + (" and more" if len(few) > 6 else "")
