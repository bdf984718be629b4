"""Which changes of alerts, and which anomalies, does no incident know of yet?  The rows are the job.

The history of alerts is read in the order of its ids, up to a position that is kept. Ids are given before the commit,
so one may be missing when later ones are there: it is noted, and looked for as long as its transaction may still run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models.analysis import ANOMALY
from db.models.incident import GroupingPosition

# The changes with which an alert begins to fire.
BEGINNINGS = ("firing", "reopened")


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One change of an alert's state that is to be taken in."""

    id: int
    alert_id: int
    change: str
    at: datetime
    request_id: str | None

    @property
    def fires(self) -> bool:
        """Whether the alert began to fire with it."""
        return self.change in BEGINNINGS


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


# More ids than transactions under way can have taken are no gap but a sequence that was set anew.
_WIDEST_GAP = 100_000
_CHANGES = text(
    """
    (SELECT h.id, h.alert_id, h.change, h.at, h.request_id
     FROM late_changes l JOIN alert_history h ON h.id = l.history_id ORDER BY h.id LIMIT :limit)
    UNION ALL
    (SELECT id, alert_id, change, at, request_id FROM alert_history
     WHERE id > (SELECT last_id FROM grouping_position) ORDER BY id LIMIT :limit)
    ORDER BY id LIMIT :limit
    """
)
_IS_TO_COME = text(
    """
    SELECT EXISTS (
        SELECT FROM alert_history h WHERE alert_id = :alert_id AND change = ANY(:changes)
            AND (id > (SELECT last_id FROM grouping_position) OR id IN (SELECT history_id FROM late_changes))
    )
    """
)
_ALERTS = text(
    """
    SELECT a.id, m.incident_id, a.fingerprint, a.alert_name, a.severity, a.status, a.description, a.labels,
        a.annotations, a.starts_at, a.ends_at, a.group_key
    FROM alerts a LEFT JOIN incident_alerts m ON m.alert_id = a.id WHERE a.id = ANY(:ids) ORDER BY a.id
    """
)
_NOTE_LATE = text(
    """
    INSERT INTO late_changes (history_id, noted_at)
    SELECT missing, clock_timestamp() FROM generate_series(greatest(:last_id + 1, :until - :widest), :until) AS missing
    WHERE missing <> ALL(:ids)
    """
)
_ANY_LATE = text("SELECT EXISTS (SELECT FROM late_changes)")
_NO_LONGER_LATE = text("DELETE FROM late_changes WHERE history_id = ANY(:ids)")
_OLDEST_TRANSACTION = text("SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()")
_NEVER_TO_COME = text(
    """
    DELETE FROM late_changes WHERE noted_at < :oldest
        AND NOT EXISTS (SELECT FROM alert_history WHERE id = history_id)
    """
)
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


def is_to_come(session: Session, alert_id: int) -> bool:
    """Whether this alert began to fire, and that is still to be taken in."""
    return bool(session.scalar(_IS_TO_COME, {"alert_id": alert_id, "changes": list(BEGINNINGS)}))


def alerts(session: Session, ids: Sequence[int]) -> dict[int, AlertSeen]:
    """These alerts as they are now, by id; one that went with the retention is left out."""
    return {row.id: AlertSeen(*row) for row in session.execute(_ALERTS, {"ids": list(ids)})}


def take_changes(session: Session, ids: Sequence[int]) -> None:
    """They are known to their incidents from now on.  Portions are taken in the order of `changes`."""
    last_id = session.scalars(select(GroupingPosition.last_id).with_for_update()).one()
    if new := [id_ for id_ in ids if id_ > last_id]:
        until = max(new)
        session.execute(_NOTE_LATE, {"last_id": last_id, "until": until, "ids": new, "widest": _WIDEST_GAP})
        session.execute(update(GroupingPosition).values(last_id=until))
    if len(new) < len(ids):
        session.execute(_NO_LONGER_LATE, {"ids": list(ids)})


def forget_what_never_came(session: Session) -> None:
    """Ids of transactions that were rolled back are not looked for any longer."""
    if session.scalar(_ANY_LATE):
        # Two statements in this order: what ended before the first is seen by the second.
        oldest = session.scalars(_OLDEST_TRANSACTION).one()
        session.execute(_NEVER_TO_COME, {"oldest": oldest})


def anomalies(session: Session, *, limit: int, younger_than: timedelta) -> list[AnomalySeen]:
    """The newest anomalies that wait, of samples of so long ago at most."""
    return [AnomalySeen(*row) for row in session.execute(_ANOMALIES, {"limit": limit, "age": younger_than})]


def take_anomalies(session: Session, ids: Sequence[int]) -> None:
    """They have been looked at."""
    session.execute(_ANOMALIES_TAKEN, {"ids": list(ids)})


def pass_over_old_anomalies(session: Session, *, older_than: timedelta, limit: int) -> int:
    """Take anomalies of samples of so long ago without a look; how many."""
    return len(session.scalars(_OLD_ANOMALIES, {"age": older_than, "limit": limit}).all())
