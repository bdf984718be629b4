"""Who may do what: users, API keys; and the audit of it all."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, JsonObject

SCOPES = ("read", "write", "admin")
_KNOWN = "ARRAY['read', 'write', 'admin']"


class User(Base):
    """A person who logs in with a password."""

    __tablename__ = "users"

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # Counts up when the password changes; tokens of an older generation no longer hold.
    generation: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (CheckConstraint(f"scopes <@ {_KNOWN}", name="scopes"),)


class ApiKey(Base):
    """A key of a sender or a program; only its hash is kept."""

    __tablename__ = "api_keys"

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(Text)
    # SHA-256 of the secret: it has 256 random bits, so a slow hash would protect nothing more.
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # Requests a minute; empty for no limit.
    rate: Mapped[int | None] = mapped_column(Integer)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))

    __table_args__ = (
        CheckConstraint(f"scopes <@ {_KNOWN}", name="scopes"),
        CheckConstraint("rate > 0", name="rate"),
    )


class AuditRecord(Base):
    """One act of a person or a program that touches access or the state of things."""

    __tablename__ = "audit_log"

    id: Mapped[BigId]
    action: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    succeeded: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    facts: Mapped[JsonObject]
    request_id: Mapped[str | None] = mapped_column(Text)
    client_address: Mapped[str | None] = mapped_column(Text)
    at: Mapped[CreatedAt]

    __table_args__ = (Index("idx_audit_log_at", "at", "id"),)


class OutboxEntry(Base):
    """An entry on its way to an audit stream; gone once Redis has it."""

    __tablename__ = "audit_outbox"

    id: Mapped[BigId]
    stream: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    facts: Mapped[JsonObject]
    request_id: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    # Set just before the entries go to Redis, so that a second try of the same batch is recognised there.
    batch: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[CreatedAt]


class Installation(Base):
    """One row: which database this is, for those who keep something beside it."""

    __tablename__ = "installation"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("gen_random_uuid()"))
    # Counts up when series are deleted: whoever remembers ids of series from before must look them up again.
    series_epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[CreatedAt]
