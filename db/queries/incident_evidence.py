"""What is recorded of an incident: its alerts by name and place, and the anomalies of its series; bounded in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.models.incident import Incident
from db.queries.evidence import AlertNearby, AnomalyNearby

_MEMBERS = 1_000
_ANOMALIES = 100
# A series is strange before the alert on it fires: alerts wait a while to be sure.
_ANOMALIES_BEFORE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class IncidentRecorded:
    """An incident with what one outbreak of it consists of, its alerts from the earliest on.

    That is the present one, or else the one of the alert that it is asked about.
    """

    incident: Incident
    since: datetime  # when the outbreak began
    lead: Alert | None  # None when only anomalies make it up
    alerts: tuple[AlertNearby, ...]
    anomalies: tuple[AnomalyNearby, ...]
    count: int  # of all alerts of the outbreak


# An incident may come back for days, each time for another reason: what was over before does not explain what is now.
_MEMBERS_SINCE = """
    FROM incident_alerts m JOIN alerts a ON a.id = m.alert_id
    WHERE m.incident_id = :id AND greatest(a.starts_at, coalesce(a.ends_at, a.last_received_at)) >= :since
    """
_ALERTS = text(
    f"""
    SELECT a.id, a.alert_name, a.severity, a.status, a.description, a.labels, a.annotations, a.starts_at
    {_MEMBERS_SINCE} ORDER BY a.starts_at, a.id LIMIT :limit
    """
)
_STRONGEST_ANOMALIES = text(
    """
    SELECT * FROM (
        SELECT DISTINCT ON (r.series_id) r.id, s.metric_name, s.labels, r.sample_at, coalesce(r.score, 0),
            coalesce(r.confidence_score, 0) AS alert, r.analysis_data
        FROM incident_anomalies m JOIN ai_analysis_results r ON r.id = m.result_id JOIN series s ON s.id = r.series_id
        WHERE m.incident_id = :id AND r.sample_at >= :since - :before
        ORDER BY r.series_id, r.confidence_score DESC NULLS LAST, r.id
    ) strongest ORDER BY alert DESC, id LIMIT :limit
    """
)
_COUNT = text(f"SELECT count(*) {_MEMBERS_SINCE}")


def of_incident(session: Session, incident_id: int, *, about: int | None = None) -> IncidentRecorded | None:
    """The incident with its members, led by the alert that it is asked `about`; None when either is gone."""
    incident = session.scalar(select(Incident).where(Incident.id == incident_id))
    if incident is None:
        return None
    lead_id = about or incident.lead_alert_id
    lead = None if lead_id is None else session.get(Alert, lead_id)
    if about is not None and lead is None:
        return None
    since = incident.active_since
    if about is not None and lead is not None and _ended_at(lead) < since:
        since = lead.starts_at
    given: dict[str, Any] = {"id": incident_id, "since": since}
    alerts = tuple(AlertNearby(*row) for row in session.execute(_ALERTS, {**given, "limit": _MEMBERS}))
    if lead is not None and _ended_at(lead) < since:
        # It led an outbreak before this one.
        lead = session.get(Alert, alerts[0].id) if alerts else None
    return IncidentRecorded(
        incident=incident,
        since=since,
        lead=lead,
        alerts=alerts,
        anomalies=tuple(
            AnomalyNearby(*row)
            for row in session.execute(
                _STRONGEST_ANOMALIES, {**given, "before": _ANOMALIES_BEFORE, "limit": _ANOMALIES}
            )
        ),
        count=session.scalar(_COUNT, given) or 0,
    )


def _ended_at(alert: Alert) -> datetime:
    return max(alert.starts_at, alert.ends_at or alert.last_received_at)


def incident_of(session: Session, alert_ids: Sequence[int]) -> dict[int, int]:
    """The incidents of these alerts, as far as they are in one."""
    rows = session.execute(
        text("SELECT alert_id, incident_id FROM incident_alerts WHERE alert_id = ANY(:ids)"), {"ids": list(alert_ids)}
    )
    return {row.alert_id: row.incident_id for row in rows}
