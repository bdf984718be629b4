"""Alerts: one row per episode of a fingerprint, its history of states, and what could not be stored as one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, query_expression

from db.base import Base, BigId, CreatedAt, JsonObject, Labels, Moment
from sensus.errors import Conflict


class Alert(Base):
    """One episode: a fingerprint from one start to its end."""

    __tablename__ = "alerts"

    id: Mapped[BigId]
    fingerprint: Mapped[str] = mapped_column(Text)
    alert_name: Mapped[str] = mapped_column(Text)
    severity: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    labels: Mapped[Labels]
    annotations: Mapped[Labels]
    starts_at: Mapped[Moment]
    ends_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    generator_url: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    group_key: Mapped[str | None] = mapped_column(Text)
    # What the sender said beyond the fields above; nothing is thrown away.
    extra: Mapped[JsonObject]
    times_received: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    last_received_at: Mapped[CreatedAt]
    acknowledged_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    acknowledgement_note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
    # Filled by the queries that ask for it.
    incident_id: Mapped[int | None] = query_expression()

    __table_args__ = (
        UniqueConstraint("fingerprint", "starts_at"),
        CheckConstraint("status IN ('firing', 'resolved', 'stale')", name="status"),
        Index("idx_alerts_status", "status", "id"),
        Index("idx_alerts_created_at", "created_at", "id"),
        Index("idx_alerts_alert_name", "alert_name", "id"),
        Index("idx_alerts_severity", "severity", "id"),
        Index("idx_alerts_starts_at", "starts_at"),
        # Only containment is asked of it, and this kind has half the entries.
        Index("idx_alerts_labels", "labels", postgresql_using="gin", postgresql_ops={"labels": "jsonb_path_ops"}),
    )

    def acknowledge(self, by: str, note: str | None, at: datetime) -> None:
        """Say that a person has seen it.  Raises Conflict when the alert is over."""
        if self.status == "resolved":
            raise Conflict(f"alert {self.id} is resolved; only a firing or stale alert can be acknowledged")
        self.acknowledged_by = by
        self.acknowledged_at = at
        self.acknowledgement_note = note


class AlertHistory(Base):
    """One change of an alert's state."""

    __tablename__ = "alert_history"

    id: Mapped[BigId]
    alert_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("alerts.id", ondelete="CASCADE"))
    change: Mapped[str] = mapped_column(Text)
    at: Mapped[CreatedAt]
    actor: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("change IN ('firing', 'resolved', 'reopened', 'stale', 'acknowledged')", name="change"),
        Index("idx_alert_history_alert_id", "alert_id", "id"),
    )


class Quarantined(Base):
    """What a sender called an alert and PostgreSQL or the rules can't hold, as the JSON text that came."""

    __tablename__ = "quarantine"

    id: Mapped[BigId]
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    payload: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]

    __table_args__ = (Index("idx_quarantine_created_at", "created_at"),)
