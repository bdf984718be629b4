"""Audit entries on their way to Redis: added in the transaction of what they tell of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from db import direct
from db.models.access import Installation, OutboxEntry
from sensus.audit import Stream

_ADD = """
    INSERT INTO audit_outbox (stream, type, facts, request_id, actor)
    VALUES (%(stream)s, %(type)s, %(facts)s::jsonb, %(request_id)s, %(actor)s)
    """
_BATCHES = DatabaseSequence("audit_batch")


def add(
    session: Session, *, stream: Stream, type: str, facts: Mapping[str, object], request_id: str, actor: str
) -> None:
    """Leave an entry for a stream; it goes out after the commit, in the order of ids."""
    direct.execute(
        session,
        _ADD,
        {
            "stream": stream,
            "type": type,
            "facts": msgspec.json.encode(facts).decode(),
            "request_id": request_id,
            "actor": actor,
        },
    )


def installation(session: Session) -> uuid.UUID:
    """Which database this is."""
    return session.scalars(select(Installation.id)).one()


def open_batch(session: Session) -> int | None:
    """The oldest batch that was formed and perhaps sent, and whose entries are still here."""
    return session.scalar(select(func.min(OutboxEntry.batch)))


def form_batch(session: Session, size: int) -> int | None:
    """Number the oldest entries as one batch.  None when there are none."""
    oldest = select(OutboxEntry.id).where(OutboxEntry.batch.is_(None)).order_by(OutboxEntry.id).limit(size)
    ids = session.scalars(oldest).all()
    if not ids:
        return None
    batch = session.scalars(select(_BATCHES.next_value())).one()
    session.execute(update(OutboxEntry).where(OutboxEntry.id.in_(ids)).values(batch=batch))
    return batch


def entries(session: Session, batch: int) -> Sequence[OutboxEntry]:
    """The entries of a batch, in order."""
    return session.scalars(select(OutboxEntry).where(OutboxEntry.batch == batch).order_by(OutboxEntry.id)).all()


def remove(session: Session, batch: int) -> None:
    """Forget a batch that Redis has."""
    session.execute(delete(OutboxEntry).where(OutboxEntry.batch == batch))


def waiting(session: Session) -> int:
    """How many entries Redis does not have yet."""
    return session.scalars(select(func.count()).select_from(OutboxEntry)).one()
