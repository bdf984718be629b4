"""Which incidents, newest first, and what one of them consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Select, func, select, union
from sqlalchemy.orm import Session, with_expression

from db.models.alert import Alert
from db.models.analysis import AnalysisFeedback, AnalysisResult
from db.models.incident import Incident, IncidentAlert, IncidentAnomaly, IncidentHistory, Notification
from db.queries import analysis_reads, notifications
from db.queries.analysis_reads import Found
from sensus.errors import NotFound

# Of one incident so much is told at once; the rest by pages.
MOST_TOLD = 500


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What the incidents of a list have in common; `since` and `until` bound their beginning, both included."""

    status: str | None = None
    severity: str | None = None
    service: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sized:
    """An incident with the number of its members."""

    incident: Incident
    alert_count: int
    anomaly_count: int


@dataclass(frozen=True, slots=True)
class JoinedAlert:
    """An alert of an incident, and why it is there."""

    alert: Alert
    joined_at: datetime
    reason: str
    strength: float


@dataclass(frozen=True, slots=True)
class IncidentStory:
    """An incident with all that belongs to it; of its members and entries the newest."""

    sized: Sized
    alerts: list[JoinedAlert]
    anomalies: list[Found]
    timeline: list[IncidentHistory]  # oldest first
    analysis: Found | None
    feedback: list[AnalysisFeedback] = field(default_factory=list)  # newest first
    alert_ids: list[int] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)


_ALERT_COUNT = select(func.count()).where(IncidentAlert.incident_id == Incident.id).scalar_subquery()
_ANOMALY_COUNT = select(func.count()).where(IncidentAnomaly.incident_id == Incident.id).scalar_subquery()


def newest_first(session: Session, wanted: IncidentFilter, *, limit: int, before_id: int | None = None) -> list[Sized]:
    """Up to `limit` incidents in the order in which they were opened, newest first, older than `before_id`."""
    return [Sized(*row) for row in session.execute(newest_first_query(wanted, limit=limit, before_id=before_id))]


def newest_first_query(
    wanted: IncidentFilter, *, limit: int, before_id: int | None = None
) -> Select[Incident, int, int]:
    """The statement behind `newest_first`, so that its plan can be looked at."""
    query = select(Incident, _ALERT_COUNT, _ANOMALY_COUNT).order_by(Incident.id.desc()).limit(limit)
    # What is left of an incident that became a part of another one is found by its id alone.
    query = query.where(Incident.merged_into.is_(None))
    if before_id is not None:
        query = query.where(Incident.id < before_id)
    if wanted.status is not None:
        query = query.where(Incident.status == wanted.status)
    if wanted.severity is not None:
        query = query.where(Incident.severity == wanted.severity)
    if wanted.service is not None:
        query = query.where(Incident.services.contains([wanted.service]))
    if wanted.since is not None:
        query = query.where(Incident.opened_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Incident.opened_at <= wanted.until)
    return query


def story(session: Session, incident_id: int) -> IncidentStory:
    """The incident with its members, its timeline and its newest analysis.  Raises NotFound."""
    row = session.execute(
        select(Incident, _ALERT_COUNT, _ANOMALY_COUNT).where(Incident.id == incident_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no incident {incident_id}")
    ids = select(IncidentAlert.alert_id).where(IncidentAlert.incident_id == incident_id)
    timeline = select(IncidentHistory).where(IncidentHistory.incident_id == incident_id)
    newest = session.scalars(timeline.order_by(IncidentHistory.id.desc()).limit(MOST_TOLD)).all()
    return IncidentStory(
        sized=Sized(*row),
        alerts=alerts(session, incident_id, limit=MOST_TOLD),
        anomalies=_anomalies(session, incident_id),
        timeline=sorted(newest, key=lambda entry: (entry.at, entry.id)),
        analysis=analysis_reads.of_incident(session, incident_id),
        feedback=_feedback(session, incident_id),
        alert_ids=list(session.scalars(ids.order_by(IncidentAlert.alert_id).limit(20 * MOST_TOLD))),
        notifications=notifications.of_incident(session, incident_id, limit=MOST_TOLD),
    )


def alerts(session: Session, incident_id: int, *, limit: int, before_id: int | None = None) -> list[JoinedAlert]:
    """Up to `limit` alerts of an incident, those that came last first."""
    return [JoinedAlert(*row) for row in session.execute(alerts_query(incident_id, limit=limit, before_id=before_id))]


def alerts_query(incident_id: int, *, limit: int, before_id: int | None = None) -> Select[Alert, datetime, str, float]:
    """The statement behind `alerts`, so that its plan can be looked at."""
    query = (
        select(Alert, IncidentAlert.joined_at, IncidentAlert.reason, IncidentAlert.strength)
        .options(with_expression(Alert.incident_id, IncidentAlert.incident_id))
        .join(IncidentAlert, IncidentAlert.alert_id == Alert.id)
        .where(IncidentAlert.incident_id == incident_id)
        .order_by(IncidentAlert.alert_id.desc())
        .limit(limit)
    )
    return query if before_id is None else query.where(IncidentAlert.alert_id < before_id)


def known(session: Session, incident_id: int) -> None:
    """Raises NotFound when there is no such incident."""
    if session.scalar(select(Incident.id).where(Incident.id == incident_id)) is None:
        raise NotFound(f"there is no incident {incident_id}")


def _feedback(session: Session, incident_id: int) -> list[AnalysisFeedback]:
    """What people said of its analyses, and of those of its alerts."""
    of_alerts = select(IncidentAlert.alert_id).where(IncidentAlert.incident_id == incident_id)
    judged = union(
        select(AnalysisResult.id).where(AnalysisResult.incident_id == incident_id),
        select(AnalysisResult.id).where(AnalysisResult.alert_id.in_(of_alerts)),
    )
    query = select(AnalysisFeedback).where(AnalysisFeedback.analysis_id.in_(judged))
    return list(session.scalars(query.order_by(AnalysisFeedback.id.desc()).limit(MOST_TOLD)))


def _anomalies(session: Session, incident_id: int) -> list[Found]:
    ids: Sequence[int] = session.scalars(
        select(IncidentAnomaly.result_id)
        .where(IncidentAnomaly.incident_id == incident_id)
        .order_by(IncidentAnomaly.result_id.desc())
        .limit(MOST_TOLD)
    ).all()
    return analysis_reads.by_ids(session, ids)
