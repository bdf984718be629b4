"""What is past its retention, deleted in small portions so that nobody waits long for a lock."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

PORTION = 2_000
AUDIT_DAYS = 365

Kind = Literal["alerts", "analyses", "quarantine", "events", "audit", "series"]

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
    # Both rows are locked, and who holds one is passed over: ingest locks them in the same order, and finds
    # afterwards that the series is gone. A row that changed meanwhile is looked at again by PostgreSQL.
    "series": """
        WITH empty AS (
            SELECT s.id FROM series s JOIN series_progress p ON p.series_id = s.id
            WHERE p.newest_at < now() - :age AND s.created_at < now() - :age AND p.lease_until IS NULL
              AND NOT EXISTS (SELECT FROM samples WHERE samples.series_id = s.id)
            ORDER BY s.id LIMIT :portion FOR UPDATE OF s, p SKIP LOCKED
        )
        DELETE FROM series WHERE id IN (SELECT id FROM empty)
    """,
}
KINDS: tuple[Kind, ...] = tuple(_OLD_ROWS)


def forget(session: Session, kind: Kind, *, days: int) -> int:
    """Delete one portion of what is older than that; how many rows went."""
    result = session.execute(text(_OLD_ROWS[kind] + " RETURNING 1"), {"age": timedelta(days=days), "portion": PORTION})
    return len(result.all())


def wait_briefly(session: Session) -> None:
    """Give up after three seconds on a lock: who waits for a table's lock holds up all who come behind."""
    session.execute(text("SET LOCAL lock_timeout = '3s'"))
