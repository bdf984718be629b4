"""Of which firing alert has nobody said anything for too long?"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

# Only an alert that came so long ago can have been silent so long, and those are the oldest rows. An alert that an
# Alertmanager lists is not silent, however rarely its webhook repeats it.
_MARK = text(
    """
    WITH silent AS MATERIALIZED (
        SELECT a.id FROM alerts a LEFT JOIN alert_listings l ON l.alert_id = a.id
        WHERE a.status = 'firing'
          AND a.id <= (SELECT id FROM alerts WHERE created_at < now() - :age ORDER BY created_at DESC, id DESC LIMIT 1)
          AND GREATEST(a.last_received_at, l.listed_at) < now() - :age
        ORDER BY a.id LIMIT :portion FOR UPDATE OF a SKIP LOCKED
    ), marked AS (
        UPDATE alerts SET status = 'stale' FROM silent WHERE alerts.id = silent.id RETURNING alerts.id
    )
    INSERT INTO alert_history (alert_id, change, actor, note, request_id)
    SELECT id, 'stale', :actor, :note, :request_id FROM marked ORDER BY id
    RETURNING alert_id
    """
)


def mark(session: Session, *, hours: float, portion: int, actor: str, request_id: str) -> list[int]:
    """Mark up to `portion` firing alerts that were not repeated for so long as stale; their ids."""
    marked = session.scalars(
        _MARK,
        {
            "age": timedelta(hours=hours),
            "portion": portion,
            "actor": actor,
            "note": f"not repeated for {hours:g} hours",
            "request_id": request_id,
        },
    )
    return list(marked)
