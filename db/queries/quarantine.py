"""What could not be stored as an alert, kept as it came, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Oddity:
    """One such item.  `payload` is its JSON text."""

    reason: str  # a constant
    detail: str
    payload: str


_ADD = text(
    """
    INSERT INTO quarantine (reason, detail, payload, actor, request_id)
    SELECT reason, detail, payload, :actor, :request_id
    FROM unnest(CAST(:reasons AS text[]), CAST(:details AS text[]), CAST(:payloads AS text[]))
        AS odd (reason, detail, payload)
    """
)


def add(session: Session, oddities: Sequence[Oddity], *, actor: str, request_id: str) -> None:
    """Put these aside."""
    if oddities:
        session.execute(
            _ADD,
            {
                "reasons": [odd.reason for odd in oddities],
                "details": [odd.detail for odd in oddities],
                "payloads": [odd.payload for odd in oddities],
                "actor": actor,
                "request_id": request_id,
            },
        )
