"""Somebody has seen an alert."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from db.models.alert import AlertHistory
from db.queries import alert_reads


def acknowledge(session: Session, alert_id: int, *, by: str, note: str | None, at: datetime, request_id: str) -> bool:
    """Acknowledge the alert; whether that changed anything.

    The same person saying the same again changes nothing, so a request may be repeated; somebody else, or another
    note, is a new acknowledgement beside the first in the history. Raises NotFound, or Conflict for a resolved alert.
    """
    alert = alert_reads.get(session, alert_id, for_change=True)
    if alert.status != "resolved" and alert.acknowledged_by == by and note in (None, alert.acknowledgement_note):
        return False
    alert.acknowledge(by, note, at)
    session.add(
        AlertHistory(alert_id=alert_id, change="acknowledged", at=at, actor=by, note=note, request_id=request_id)
    )
    session.flush()
    return True
