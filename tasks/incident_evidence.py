"""From rows to a case: what is known of an incident, in the analyst's own terms and weighed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.queries import evidence, incident_evidence
from db.queries.evidence import AlertNearby, AnomalyNearby, Recorded
from db.queries.incident_evidence import IncidentRecorded
from db.session import Database
from llm.evidence import ANOMALY, RELATED_ALERT, Case, EvidenceItem, Subject, number
from llm.places import place_of
from sensus import times
from sensus.settings import Settings
from tasks.evidence import alert_summary, anomaly_facts, anomaly_summary, items_around, subject_of

# That it is a member says more than what labels share, and less than that it explains the others.
_MEMBER, _FIRST_MEMBER, _MEMBER_ANOMALY = 0.45, 0.6, 0.55
_MOST_KINDS = 12


@dataclass(frozen=True, slots=True)
class Gathered:
    """All rows that a question about an incident rests on."""

    recorded: IncidentRecorded
    around: Recorded | None  # of the lead


def incident_case(database: Database, incident_id: int, settings: Settings) -> Case | None:
    """The question about an incident, with the evidence ranked and numbered; None when it is gone or empty."""
    with database.transaction() as session:
        gathered = _gathered(session, incident_id)
    if gathered is None:
        return None
    return number(_subject(gathered.recorded), _items(gathered, settings), asked_at=times.now())


def _gathered(session: Session, incident_id: int) -> Gathered | None:
    recorded = incident_evidence.of_incident(session, incident_id)
    if recorded is None or not (recorded.lead or recorded.anomalies):
        return None
    lead = recorded.lead
    return Gathered(recorded, None if lead is None else evidence.around(session, [lead.id]).get(lead.id))


def _items(gathered: Gathered, settings: Settings) -> Iterator[EvidenceItem]:
    recorded = gathered.recorded
    members = {alert.id for alert in recorded.alerts}
    yield from _member_items(recorded, settings.service_labels)
    for anomaly in recorded.anomalies:
        yield _anomaly_item(anomaly)
    shown = {anomaly.id for anomaly in recorded.anomalies}
    if gathered.around is not None:
        for item in items_around(gathered.around):
            row_id = item.facts.get("id")
            is_member = (item.kind == RELATED_ALERT and row_id in members) or (item.kind == ANOMALY and row_id in shown)
            if not is_member:
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
        starts_at=incident.opened_at,
        fingerprint=f"{incident.id:016x}",
        fingerprint_is_of_labels=False,
        incident=size,
    )


def _told(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    few = list(names)
    return ", ".join(few[:6]) + (" and more" if len(few) > 6 else "")
