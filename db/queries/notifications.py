"""Which states of incidents wait to be told to whom, who has them, and what came of them.

A row is one state on its way to one target, made when the analysis of that state is finished. A claim has an attempt
and a lease, as that of an analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from db.models.analysis import AnalysisResult
from db.models.incident import Incident, Notification
from db.queries.incidents import Entry, note

# What could not be sent for so long is news no more.
GIVE_UP_AFTER = timedelta(hours=24)

_N = Notification

# Since when an incident must last for a state to be told: since its beginning, or since it came back after its end,
# when that made the state.
_BEGAN = """CASE WHEN i.reopened > 0 AND n.incident_state > 1 AND i.state = n.incident_state
    THEN i.state_since ELSE i.opened_at END"""
_WAS_SHORT = f"i.status = 'resolved' AND i.resolved_at - ({_BEGAN}) < :lasts"
_IS_FREE = "n.status = 'waiting' AND (n.lease_until IS NULL OR n.lease_until < now())"
_ADD = text(
    f"""
    INSERT INTO notifications (incident_id, incident_state, analysis_id, target, next_try_at)
    SELECT n.incident_id, n.incident_state, n.id, told.target, greatest(now(), {_BEGAN} + :lasts)
    FROM ai_analysis_results n JOIN incidents i ON i.id = n.incident_id,
        unnest(CAST(:targets AS text[])) AS told (target)
    WHERE n.id = ANY(:analysis_ids) AND n.incident_state IS NOT NULL
    ON CONFLICT DO NOTHING
    """  # noqa: S608 (only constants are put together)
)
# Who comes back within `back` is in the same state as before, and this is told of it then.
_SKIP = text(
    f"""
    UPDATE notifications n SET status = 'skipped', error = CASE
        WHEN n.target <> ALL(CAST(:targets AS text[])) THEN 'its URL is no longer among the settings'
        WHEN i.merged_into IS NOT NULL THEN 'the incident is one with incident ' || i.merged_into
        ELSE 'the incident was over within ' || extract(epoch FROM CAST(:lasts AS interval))::float8 || ' s' END
    FROM incidents i
    WHERE i.id = n.incident_id AND {_IS_FREE} AND (
        n.target <> ALL(CAST(:targets AS text[]))
        OR i.merged_into IS NOT NULL
        OR ({_WAS_SHORT} AND i.resolved_at < now() - CAST(:back AS interval)))
    RETURNING n.id
    """  # noqa: S608 (only constants are put together)
)
# Fewest tries first, so that what a target will never take holds up nothing else; but never a state before an earlier
# one. A target that failed has a rest, or each of those that wait would run into the same.
_CLAIM = text(
    f"""
    UPDATE notifications SET attempt = attempt + 1, claimed_by = :holder, tried_at = clock_timestamp(),
        lease_until = now() + :lease
    WHERE id = (
        SELECT n.id FROM notifications n JOIN incidents i ON i.id = n.incident_id
        WHERE n.target = :target AND {_IS_FREE} AND n.next_try_at <= now() AND NOT ({_WAS_SHORT})
          AND NOT EXISTS (
            SELECT FROM notifications f WHERE f.target = :target AND f.status = 'waiting'
              AND f.error IS NOT NULL AND f.tried_at > now() - CAST(:rest AS interval))
          AND NOT EXISTS (
            SELECT FROM notifications e WHERE e.incident_id = n.incident_id AND e.target = n.target
              AND e.status = 'waiting' AND e.incident_state < n.incident_state)
        ORDER BY n.attempt, n.id LIMIT 1 FOR UPDATE OF n SKIP LOCKED)
    RETURNING id, incident_id, incident_state, target, attempt, analysis_id, created_at
    """  # noqa: S608 (only constants are put together)
)


@dataclass(frozen=True, slots=True)
class NotificationClaim:
    """A notification that this worker has until the lease ends."""

    id: int
    incident_id: int
    incident_state: int
    target: str
    attempt: int
    analysis_id: int | None
    created_at: datetime


def add(session: Session, analysis_ids: Sequence[int], *, targets: Sequence[str], lasts: timedelta) -> None:
    """What these finished analyses say of the states of their incidents is to be told to each target.

    Once each, and not before the incident has lasted that long. Those of alerts are passed over.
    """
    given = {"analysis_ids": list(analysis_ids), "targets": list(targets), "lasts": lasts}
    if analysis_ids and targets:
        session.execute(_ADD, given)


def skip(session: Session, *, targets: Sequence[str], lasts: timedelta, back: timedelta) -> int:
    """Pass over what nobody needs to be told; how many.

    That is of incidents that lasted shorter than `lasts` and stayed away for longer than `back`, of those that turned
    out to be another one, and what waits for a target that is gone.
    """
    return len(session.execute(_SKIP, {"targets": list(targets), "lasts": lasts, "back": back}).all())


def claim(
    session: Session, target: str, *, lasts: timedelta, rest: timedelta, lease: timedelta, holder: str | None
) -> NotificationClaim | None:
    """Take what is due for a target; None when nothing is, or the target failed less than `rest` ago."""
    given = {"target": target, "lasts": lasts, "rest": rest, "lease": lease, "holder": holder}
    row = session.execute(_CLAIM, given).one_or_none()
    return None if row is None else NotificationClaim(**row._mapping)


def subject(session: Session, claimed: NotificationClaim) -> tuple[Incident, AnalysisResult | None]:
    """The incident, and what is known of its cause by now."""
    incident = session.scalars(select(Incident).where(Incident.id == claimed.incident_id)).one()
    analysis = None if claimed.analysis_id is None else session.get(AnalysisResult, claimed.analysis_id)
    return incident, analysis


def sent(session: Session, claimed: NotificationClaim, *, at: datetime, request_id: str) -> bool:
    """It has arrived; False when the claim was lost, and then nothing happens."""
    if not _change(session, claimed, status="sent", sent_at=at, error=None):
        return False
    facts = {"target": claimed.target, "state": claimed.incident_state}
    note(
        session,
        [Entry(incident_id=claimed.incident_id, change="notified", at=at, request_id=request_id, facts=facts)],
    )
    return True


def not_sent(session: Session, claimed: NotificationClaim, *, error: str, pause: timedelta, is_last: bool) -> bool:
    """It has not: it is tried again after a pause, unless this was the last try.  False when the claim was lost."""
    if is_last:
        return _change(session, claimed, status="failed", error=error)
    return _change(session, claimed, error=error, next_try_at=func.now() + pause)


def of_incident(session: Session, incident_id: int, *, limit: int) -> list[Notification]:
    """Who was told of an incident, or is to be: the newest state first."""
    query = select(_N).where(_N.incident_id == incident_id)
    return list(session.scalars(query.order_by(_N.incident_state.desc(), _N.id).limit(limit)))


def _change(session: Session, claimed: NotificationClaim, **values: Any) -> bool:
    # The attempt is the guard: a worker that comes late finds a higher one, and changes nothing.
    row = session.execute(
        update(_N)
        .where(_N.id == claimed.id, _N.attempt == claimed.attempt, _N.status == "waiting")
        .values(lease_until=None, claimed_by=None, **values)
        .returning(_N.id)
    ).one_or_none()
    return row is not None
