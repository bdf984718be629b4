"""What is recorded of an incident: its alerts by name and place, and the anomalies of its series; bounded in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.models.incident import Incident
from db.queries.evidence import AlertNearby, AnomalyNearby

_MEMBERS = 1_000
_ANOMALIES = 100


@dataclass(frozen=True, slots=True)
class IncidentRecorded:
    """An incident with what it consists of, its alerts from the earliest on."""

    incident: Incident
    lead: Alert | None  # None when only anomalies make it up
    alerts: tuple[AlertNearby, ...]
    anomalies: tuple[AnomalyNearby, ...]
    count: int  # of all its alerts


_ALERTS = text(
    """
    SELECT a.id, a.alert_name, a.severity, a.status, a.description, a.labels, a.annotations, a.starts_at
    FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id WHERE m.incident_id = :id
    ORDER BY a.starts_at, a.id LIMIT :limit
    """
)
_STRONGEST_ANOMALIES = text(
    """
    SELECT * FROM (
        SELECT DISTINCT ON (r.series_id) r.id, s.metric_name, s.labels, r.sample_at, coalesce(r.score, 0),
            coalesce(r.confidence_score, 0) AS alert, r.analysis_data
        FROM incident_anomalies m JOIN ai_analysis_results r ON r.id = m.result_id JOIN series s ON s.id = r.series_id
        WHERE m.incident_id = :id ORDER BY r.series_id, r.confidence_score DESC NULLS LAST, r.id
    ) strongest ORDER BY alert DESC, id LIMIT :limit
    """
)
_COUNT = text("SELECT count(*) FROM incident_alerts WHERE incident_id = :id")


def of_incident(session: Session, incident_id: int, *, about: int | None = None) -> IncidentRecorded | None:
    """The incident with its members, led by the alert that it is asked `about`; None when either is gone."""
    incident = session.scalar(select(Incident).where(Incident.id == incident_id))
    if incident is None:
        return None
    given: dict[str, Any] = {"id": incident_id}
    lead_id = about or incident.lead_alert_id
    lead = None if lead_id is None else session.get(Alert, lead_id)
    if about is not None and lead is None:
        return None
    return IncidentRecorded(
        incident=incident,
        lead=lead,
        alerts=tuple(AlertNearby(*row) for row in session.execute(_ALERTS, {**given, "limit": _MEMBERS})),
        anomalies=tuple(
            AnomalyNearby(*row) for row in session.execute(_STRONGEST_ANOMALIES, {**given, "limit": _ANOMALIES})
        ),
        count=session.scalar(_COUNT, given) or 0,
    )


def incident_of(session: Session, alert_ids: Sequence[int]) -> dict[int, int]:
    """The incidents of these alerts, as far as they are in one."""
    rows = session.execute(
        text("SELECT alert_id, incident_id FROM incident_alerts WHERE alert_id = ANY(:ids)"), {"ids": list(alert_ids)}
    )
    return {row.alert_id: row.incident_id for row in rows}
