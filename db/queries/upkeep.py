"""What is past its retention, deleted in small portions so that nobody waits long for a lock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.queries import series

PORTION = 2_000
AUDIT_DAYS = 365

Kind = Literal["alerts", "analyses", "incidents", "anomaly_alerts", "quarantine", "events", "audit", "series"]

# An alert is as old as its latest news: one that fires for months is not forgotten while it does.
_OLD_ROWS: dict[Kind, str] = {
    "alerts": """
        DELETE FROM alerts WHERE id IN (
            SELECT id FROM alerts
            WHERE created_at < now() - :age AND last_received_at < now() - :age
              AND NOT EXISTS (SELECT FROM alert_listings l WHERE l.alert_id = alerts.id AND l.listed_at > now() - :age)
            ORDER BY id LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
    "analyses": """
        DELETE FROM ai_analysis_results WHERE id IN (
            SELECT id FROM ai_analysis_results
            WHERE created_at < now() - :age AND status IN ('done', 'failed')
            ORDER BY created_at, id LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
    # What people said that it was in truth is evidence for good; they say it of a few.
    "incidents": """
        DELETE FROM incidents WHERE id IN (
            SELECT id FROM incidents
            WHERE last_activity_at < now() - :age AND created_at < now() - :age
              AND status = 'resolved' AND confirmed_cause IS NULL
              AND NOT EXISTS (SELECT FROM incident_alerts m WHERE m.incident_id = incidents.id)
            ORDER BY last_activity_at, id LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
    "anomaly_alerts": """
        DELETE FROM anomaly_alerts WHERE id IN (
            SELECT id FROM anomaly_alerts WHERE created_at < now() - :age AND end_told_at IS NOT NULL
            ORDER BY id LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
    "quarantine": """
        DELETE FROM quarantine WHERE id IN (
            SELECT id FROM quarantine WHERE created_at < now() - :age
            ORDER BY created_at LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
    "events": """
        DELETE FROM change_events WHERE id IN (
            SELECT id FROM change_events WHERE at < now() - :age AND created_at < now() - :age
            ORDER BY at LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
    "audit": """
        DELETE FROM audit_log WHERE id IN (
            SELECT id FROM audit_log WHERE at < now() - :age
            ORDER BY at, id LIMIT :portion FOR UPDATE SKIP LOCKED)
    """,
}
# Which series have nothing left, and which of them still when nobody can store samples; one that is scored is
# passed over. The first look takes long on many series, and nobody waits for it.
_EMPTY_SERIES = """
    SELECT s.id FROM series s JOIN series_progress p ON p.series_id = s.id
    WHERE p.newest_at < now() - :age AND s.created_at < now() - :age AND p.lease_until IS NULL
      AND NOT EXISTS (SELECT FROM samples WHERE samples.series_id = s.id)
    """
_DELETE_SERIES = f"""
    WITH empty AS ({_EMPTY_SERIES} AND s.id = ANY(:ids) ORDER BY s.id FOR UPDATE OF s, p SKIP LOCKED)
    DELETE FROM series WHERE id IN (SELECT id FROM empty) RETURNING id
    """  # noqa: S608 (only constants of this module are put together)
KINDS: tuple[Kind, ...] = (*_OLD_ROWS, "series")


def forget(session: Session, kind: Kind, *, days: int) -> int:
    """Delete one portion of what is older than that; how many rows went."""
    given = {"age": timedelta(days=days), "portion": PORTION}
    if kind == "series":
        return _forget_series(session, given)
    return len(session.execute(text(_OLD_ROWS[kind] + " RETURNING 1"), given).all())


def _forget_series(session: Session, given: Mapping[str, object]) -> int:
    ids = session.scalars(text(f"{_EMPTY_SERIES} ORDER BY s.id LIMIT :portion"), given).all()
    if not ids:
        return 0
    series.begin_epoch(session)
    return len(session.execute(text(_DELETE_SERIES), {**given, "ids": ids}).all())


def wait_briefly(session: Session) -> None:
    """Give up after three seconds on a lock: who waits for a table's lock holds up all who come behind."""
    session.execute(text("SET LOCAL lock_timeout = '3s'"))
