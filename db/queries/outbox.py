"""Audit entries on their way to Redis: added in the transaction of what they tell of."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from db import direct
from db.direct import Within
from db.models.access import Installation, OutboxEntry
from sensus.audit import Entry, Stream

# A webhook may have thousands of alerts, and an entry is a receipt.
MOST_IDS = 100
_ADD = """
    INSERT INTO audit_outbox (stream, type, facts, request_id, actor)
    VALUES (%(stream)s, %(type)s, %(facts)s::jsonb, %(request_id)s, %(actor)s)
    """
_ENTRIES = """
    SELECT stream, type, facts::text, at, request_id, actor FROM audit_outbox WHERE batch = %(batch)s ORDER BY id
    """
_BATCHES = DatabaseSequence("audit_batch")


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry for a stream."""

    stream: Stream
    type: str
    facts: Mapping[str, object]
    request_id: str
    actor: str

    def columns(self) -> dict[str, str]:
        """The entry as parameters of a statement."""
        return {
            "stream": self.stream,
            "type": self.type,
            "facts": msgspec.json.encode(self.facts).decode(),
            "request_id": self.request_id,
            "actor": self.actor,
        }


def add(within: Within, entry: NewEntry) -> None:
    """Leave an entry; it goes out after the commit, in the order of ids."""
    direct.execute(within, _ADD, entry.columns())


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


def entries(session: Session, batch: int) -> list[Entry]:
    """The entries of a batch, in order."""
    rows = direct.execute(session, _ENTRIES, {"batch": batch})
    return [Entry(*row) for row in rows]


def remove(session: Session, batch: int) -> None:
    """Forget a batch that Redis has."""
    # Should the machine fail before this is on its disk, the batch is sent again, and Redis knows its number.
    direct.execute_all(session, "SET LOCAL synchronous_commit = off")
    session.execute(delete(OutboxEntry).where(OutboxEntry.batch == batch))


def waiting(session: Session) -> int:
    """How many entries Redis does not have yet."""
    return session.scalars(select(func.count()).select_from(OutboxEntry)).one()
