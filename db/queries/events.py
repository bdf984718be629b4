"""Stores change events, each once."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models.analysis import ChangeEvent


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A deploy, a configuration change or the like."""

    kind: str
    title: str
    labels: Mapping[str, str]
    at: datetime
    url: str | None
    timed: bool  # whether the sender said when; only then can a repetition be recognised
    details: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> bytes:
        """SHA-256 over what was sent."""
        sent = [self.kind, self.title, sorted(self.labels.items()), self.at, self.url]
        if not self.timed:
            sent.append(uuid.uuid4())
        return hashlib.sha256(msgspec.json.encode(sent)).digest()


def store(session: Session, event: NewEvent, *, actor: str) -> tuple[int, bool]:
    """The id of the event, and whether it is new."""
    digest = event.digest()
    new = session.scalar(
        insert(ChangeEvent)
        .values(
            kind=event.kind,
            title=event.title,
            labels=dict(event.labels),
            at=event.at,
            url=event.url,
            details=dict(event.details),
            digest=digest,
            actor=actor,
        )
        .on_conflict_do_nothing(index_elements=["digest"])
        .returning(ChangeEvent.id)
    )
    if new is not None:
        return new, True
    return session.scalars(select(ChangeEvent.id).where(ChangeEvent.digest == digest)).one(), False
