"""What is recorded around an alert: other alerts, anomalies of samples, changes; each list bounded in SQL."""

# ruff: noqa: S608 - statements are put together from constants of this module; values go in as parameters.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.models.analysis import ANOMALY

ALERTS_AROUND = timedelta(minutes=30)
ANOMALIES_AROUND = timedelta(hours=1)
CHANGES_BEFORE = timedelta(hours=24)
# Clocks differ, and a deploy is often reported when it has ended.
CHANGES_AFTER = timedelta(minutes=15)

# How many rows nearest in time are looked at, and how many of them that share most labels are returned.
_LOOKED_AT = 500
_RETURNED = 60
_SHARED = (
    "(SELECT count(*) FROM jsonb_each_text({labels}) l "
    "WHERE l.key NOT IN ('alertname', 'severity', '__name__') AND CAST(:labels AS jsonb) ->> l.key = l.value)"
)


@dataclass(frozen=True, slots=True)
class AlertNearby:
    """Another alert that began around, or was firing when this one began."""

    id: int
    alert_name: str
    severity: str | None
    status: str
    description: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class AnomalyNearby:
    """The strongest anomaly of a series around the start."""

    id: int
    metric_name: str
    labels: Mapping[str, str]
    at: datetime
    score: float
    alert: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeNearby:
    """A change event before the start."""

    id: int
    kind: str
    title: str
    labels: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """An alert and all that is recorded around it."""

    alert: Alert
    alerts: tuple[AlertNearby, ...]
    anomalies: tuple[AnomalyNearby, ...]
    changes: tuple[ChangeNearby, ...]


def around(session: Session, alert_id: int) -> Recorded | None:
    """What is recorded around the start of this alert; None when the alert is gone."""
    alert = session.get(Alert, alert_id)
    if alert is None:
        return None
    return Recorded(
        alert=alert,
        alerts=_alerts(session, alert),
        anomalies=_anomalies(session, alert),
        changes=_changes(session, alert),
    )


def _alerts(session: Session, alert: Alert) -> tuple[AlertNearby, ...]:
    # The time of the first ones and the state of the others are answered by an index each.
    rows = session.execute(
        _with_labels(
            f"""
            WITH nearby AS (
                (SELECT * FROM alerts WHERE starts_at BETWEEN :start - :around AND :start + :around AND id <> :id
                 ORDER BY abs(extract(epoch FROM starts_at - :start)), id LIMIT :looked_at)
                UNION
                (SELECT * FROM alerts WHERE status = 'firing' AND starts_at < :start - :around AND id <> :id
                 ORDER BY id DESC LIMIT :looked_at)
            )
            SELECT id, alert_name, severity, status, description, labels, annotations, starts_at
            FROM nearby
            ORDER BY {_SHARED.format(labels="labels")} DESC, abs(extract(epoch FROM starts_at - :start)), id
            LIMIT :returned
            """
        ),
        {**_common(alert), "around": ALERTS_AROUND, "id": alert.id},
    )
    return tuple(AlertNearby(*row) for row in rows)


def _anomalies(session: Session, alert: Alert) -> tuple[AnomalyNearby, ...]:
    rows = session.execute(
        _with_labels(
            f"""
            WITH nearby AS (
                SELECT id, series_id, sample_at, score, confidence_score, analysis_data
                FROM ai_analysis_results
                WHERE analysis_type = '{ANOMALY}' AND sample_at BETWEEN :start - :around AND :start + :around
                ORDER BY sample_at DESC, id DESC LIMIT :looked_at
            ), of_series AS (
                SELECT DISTINCT ON (series_id) * FROM nearby ORDER BY series_id, confidence_score DESC NULLS LAST, id
            ), counted AS (
                SELECT a.*, s.metric_name, s.labels, {_SHARED.format(labels="s.labels")} AS shared
                FROM of_series a JOIN series s ON s.id = a.series_id
            )
            SELECT id, metric_name, labels, sample_at, coalesce(score, 0), coalesce(confidence_score, 0), analysis_data
            FROM counted WHERE shared > 0
            ORDER BY shared DESC, confidence_score DESC NULLS LAST, id
            LIMIT :returned
            """
        ),
        {**_common(alert), "around": ANOMALIES_AROUND},
    )
    return tuple(AnomalyNearby(*row) for row in rows)


def _changes(session: Session, alert: Alert) -> tuple[ChangeNearby, ...]:
    rows = session.execute(
        _with_labels(
            f"""
            WITH nearby AS (
                SELECT * FROM change_events
                WHERE at BETWEEN :start - :before AND :start + :after ORDER BY at DESC, id DESC LIMIT :looked_at
            )
            SELECT id, kind, title, labels, at FROM nearby
            ORDER BY {_SHARED.format(labels="labels")} DESC, at DESC, id DESC
            LIMIT :returned
            """
        ),
        {**_common(alert), "before": CHANGES_BEFORE, "after": CHANGES_AFTER},
    )
    return tuple(ChangeNearby(*row) for row in rows)


def _with_labels(statement: str) -> Any:
    return text(statement).bindparams(bindparam("labels", type_=JSONB))


def _common(alert: Alert) -> dict[str, Any]:
    return {"start": alert.starts_at, "labels": alert.labels, "looked_at": _LOOKED_AT, "returned": _RETURNED}
