"""Which changes of alerts, and which anomalies, does no incident know of yet?  The rows are the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.models.analysis import ANOMALY


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One change of an alert's state that is to be taken in."""

    id: int
    alert_id: int
    change: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert that changed, and the incident that it is in already."""

    id: int
    incident_id: int | None
    fingerprint: str
    alert_name: str
    severity: str | None
    status: str
    description: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    group_key: str | None


@dataclass(frozen=True, slots=True)
class AnomalySeen:
    """An anomaly that may belong to an incident."""

    id: int
    series_id: int
    metric_name: str
    labels: Mapping[str, str]
    at: datetime
    score: float
    alert: float


_CHANGES = text("SELECT id, alert_id, change, at FROM alert_history WHERE NOT grouped ORDER BY id LIMIT :limit")
_ALERTS = text(
    """
    SELECT a.id, m.incident_id, a.fingerprint, a.alert_name, a.severity, a.status, a.description, a.labels,
        a.annotations, a.starts_at, a.ends_at, a.group_key
    FROM alerts a LEFT JOIN incident_alerts m ON m.alert_id = a.id WHERE a.id = ANY(:ids) ORDER BY a.id
    """
)
_CHANGES_TAKEN = text("UPDATE alert_history SET grouped = true WHERE id = ANY(:ids)")
_ANOMALIES = text(
    f"""
    SELECT r.id, r.series_id, s.metric_name, s.labels, r.sample_at, coalesce(r.score, 0),
        coalesce(r.confidence_score, 0)
    FROM ai_analysis_results r JOIN series s ON s.id = r.series_id
    WHERE r.analysis_type = '{ANOMALY}' AND NOT r.grouped AND r.sample_at >= now() - :age
    ORDER BY r.id DESC LIMIT :limit
    """  # noqa: S608 (only constants are put together)
)
_ANOMALIES_TAKEN = text("UPDATE ai_analysis_results SET grouped = true WHERE id = ANY(:ids)")
# Anomalies of long ago open no incident now, and they may be millions when a history is brought in.
_OLD_ANOMALIES = text(
    f"""
    UPDATE ai_analysis_results SET grouped = true WHERE id IN (
        SELECT id FROM ai_analysis_results
        WHERE analysis_type = '{ANOMALY}' AND NOT grouped AND sample_at < now() - :age
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ) RETURNING id
    """  # noqa: S608 (only constants are put together)
)


def changes(session: Session, *, limit: int) -> list[AlertChange]:
    """The oldest changes that wait."""
    return [AlertChange(*row) for row in session.execute(_CHANGES, {"limit": limit})]


def alerts(session: Session, ids: Sequence[int]) -> dict[int, AlertSeen]:
    """These alerts as they are now, by id; one that went with the retention is left out."""
    return {row.id: AlertSeen(*row) for row in session.execute(_ALERTS, {"ids": list(ids)})}


def take_changes(session: Session, ids: Sequence[int]) -> None:
    """They are known to their incidents from now on."""
    session.execute(_CHANGES_TAKEN, {"ids": list(ids)})


def anomalies(session: Session, *, limit: int, younger_than: timedelta) -> list[AnomalySeen]:
    """The newest anomalies that wait, of samples of so long ago at most."""
    return [AnomalySeen(*row) for row in session.execute(_ANOMALIES, {"limit": limit, "age": younger_than})]


def take_anomalies(session: Session, ids: Sequence[int]) -> None:
    """They have been looked at."""
    session.execute(_ANOMALIES_TAKEN, {"ids": list(ids)})


def pass_over_old_anomalies(session: Session, *, older_than: timedelta, limit: int) -> int:
    """Take anomalies of samples of so long ago without a look; how many."""
    return len(session.scalars(_OLD_ANOMALIES, {"age": older_than, "limit": limit}).all())
