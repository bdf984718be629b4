"""Who is in which incident: the members of late, as grouping needs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models.incident import Incident

# Bounds of what one look may read, whatever a storm brings.
MOST_INCIDENTS = 200
MOST_MEMBERS = 4_000


@dataclass(frozen=True, slots=True)
class MemberAlert:
    """An alert of an incident."""

    incident_id: int
    id: int
    fingerprint: str
    alert_name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    group_key: str | None


@dataclass(frozen=True, slots=True)
class MemberAnomaly:
    """An anomaly of an incident."""

    incident_id: int
    id: int
    series_id: int
    metric_name: str
    labels: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Active:
    """Incidents that somebody may still join, with their members."""

    incidents: dict[int, Incident]
    alerts: dict[int, list[MemberAlert]]
    anomalies: dict[int, list[MemberAnomaly]]


_ACTIVE = text(
    """
    SELECT id FROM incidents
    WHERE last_activity_at >= :since AND opened_at <= :until AND merged_into IS NULL
    ORDER BY last_activity_at DESC LIMIT :limit
    """
)
_ALERTS = text(
    """
    SELECT m.incident_id, a.id, a.fingerprint, a.alert_name, a.labels, a.annotations, a.starts_at, a.group_key
    FROM unnest(:ids) AS wanted (id) CROSS JOIN LATERAL (
        SELECT incident_id, alert_id FROM incident_alerts WHERE incident_id = wanted.id
        ORDER BY alert_id DESC LIMIT :each
    ) m JOIN alerts a ON a.id = m.alert_id
    WHERE a.starts_at >= :since ORDER BY a.id
    """
)
_ANOMALIES = text(
    """
    SELECT m.incident_id, r.id, r.series_id, s.metric_name, s.labels, r.sample_at
    FROM unnest(:ids) AS wanted (id) CROSS JOIN LATERAL (
        SELECT incident_id, result_id FROM incident_anomalies WHERE incident_id = wanted.id
        ORDER BY result_id DESC LIMIT :each
    ) m JOIN ai_analysis_results r ON r.id = m.result_id JOIN series s ON s.id = r.series_id
    WHERE r.sample_at >= :since ORDER BY r.id
    """
)


def active(session: Session, *, since: datetime, until: datetime) -> Active:
    """Incidents with a member that began or ended since then, and those of their members that began since then."""
    given = {"since": since, "until": until, "limit": MOST_INCIDENTS}
    ids = list(session.scalars(_ACTIVE, given))
    found: Active = Active({}, defaultdict(list), defaultdict(list))
    if not ids:
        return found
    # Locked in one order: people acknowledge, and analysts finish, while alerts join.
    locked = select(Incident).where(Incident.id.in_(ids)).order_by(Incident.id).with_for_update()
    found.incidents.update({incident.id: incident for incident in session.scalars(locked)})
    bounds = {"ids": sorted(ids), "since": since, "each": _each(ids)}
    for alert in session.execute(_ALERTS, bounds):
        found.alerts[alert.incident_id].append(MemberAlert(*alert))
    for anomaly in session.execute(_ANOMALIES, bounds):
        found.anomalies[anomaly.incident_id].append(MemberAnomaly(*anomaly))
    return found


def _each(ids: Sequence[int]) -> int:
    return max(20, MOST_MEMBERS // len(ids))
