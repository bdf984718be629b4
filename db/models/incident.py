"""Incidents: alerts and anomalies that belong together, what happened to them, and who was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, JsonObject, Labels, Moment
from sensus.errors import Conflict

CHANGES = (
    "opened", "grown", "alert_joined", "alert_resolved", "alert_reopened", "anomaly_joined", "merged", "analysed",
    "acknowledged", "resolved", "reopened", "cause_confirmed", "notified",
)  # fmt: skip


class Incident(Base):
    """What one cause is likely to have done.

    `state` grows with each material change, and each state is analysed once: `analysed_state` is the newest of which
    an analysis was asked. `suspects` are those of `suspects_state`, best first: [{service, metric, score, confidence}].
    """

    __tablename__ = "incidents"

    id: Mapped[BigId]
    status: Mapped[str] = mapped_column(Text, server_default=text("'open'"))
    title: Mapped[str] = mapped_column(Text)
    summary: Mapped[str] = mapped_column(Text, server_default=text("''"))  # what its lead says of itself
    severity: Mapped[str | None] = mapped_column(Text)  # the worst of its alerts, as sent
    opened_at: Mapped[Moment]  # the earliest start of a member
    active_since: Mapped[CreatedAt]  # the same of its present outbreak: later, when it was over and came back
    last_activity_at: Mapped[Moment]  # the latest start or end of a member
    resolved_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    reopened: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    acknowledged_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    acknowledgement_note: Mapped[str | None] = mapped_column(Text)
    lead_alert_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("alerts.id", ondelete="SET NULL"))
    # Another incident that turned out to be the same; this one has no members any more.
    merged_into: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("incidents.id", ondelete="SET NULL"))
    labels: Mapped[Labels]  # what all its alerts have in common
    services: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    alert_names: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    state: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    state_since: Mapped[CreatedAt]
    changed_at: Mapped[CreatedAt]  # the latest change that belongs to this state
    analysed_state: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    suspects: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    suspects_state: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    # What a person said that it was.
    confirmed_cause: Mapped[str | None] = mapped_column(Text)
    confirmed_by: Mapped[str | None] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    search: Mapped[str | None] = mapped_column(TSVECTOR, deferred=True)
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    embedded_by: Mapped[str | None] = mapped_column(Text, deferred=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("status IN ('open', 'acknowledged', 'resolved')", name="status"),
        Index("idx_incidents_status", "status", "id"),
        Index("idx_incidents_severity", "severity", "id"),
        Index("idx_incidents_opened_at", "opened_at", "id"),
        Index("idx_incidents_last_activity_at", "last_activity_at"),
        # Without these a deleted alert or incident would be looked for in the whole table.
        Index("idx_incidents_lead_alert_id", "lead_alert_id"),
        Index("idx_incidents_merged_into", "merged_into"),
        Index("idx_incidents_services", "services", postgresql_using="gin"),
        Index("idx_incidents_search", "search", postgresql_using="gin"),
        # The jobs: what is not over, and what is not analysed yet.
        Index("idx_incidents_unresolved", "id", postgresql_where=text("status <> 'resolved'")),
        Index("idx_incidents_unanalysed", "id", postgresql_where=text("analysed_state < state")),
    )

    def acknowledge(self, by: str, note: str | None, at: datetime) -> None:
        """Say that a person has it.  Raises Conflict when it is over."""
        if self.status == "resolved":
            raise Conflict(f"incident {self.id} is resolved; only an open one can be acknowledged")
        self.status = "acknowledged"
        self.acknowledged_by = by
        self.acknowledged_at = at
        self.acknowledgement_note = note


class IncidentAlert(Base):
    """An alert that belongs to an incident; each to one."""

    __tablename__ = "incident_alerts"

    alert_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True)
    incident_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("incidents.id", ondelete="CASCADE"))
    joined_at: Mapped[CreatedAt]
    reason: Mapped[str] = mapped_column(Text)
    strength: Mapped[float] = mapped_column(Double)

    __table_args__ = (Index("idx_incident_alerts_incident_id", "incident_id", "alert_id"),)


class IncidentAnomaly(Base):
    """An anomaly that belongs to an incident; each to one."""

    __tablename__ = "incident_anomalies"

    result_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("ai_analysis_results.id", ondelete="CASCADE"), primary_key=True
    )
    incident_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("incidents.id", ondelete="CASCADE"))
    joined_at: Mapped[CreatedAt]
    reason: Mapped[str] = mapped_column(Text)
    strength: Mapped[float] = mapped_column(Double)

    __table_args__ = (Index("idx_incident_anomalies_incident_id", "incident_id", "result_id"),)


class IncidentHistory(Base):
    """One entry of an incident's timeline."""

    __tablename__ = "incident_history"

    id: Mapped[BigId]
    incident_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("incidents.id", ondelete="CASCADE"))
    change: Mapped[str] = mapped_column(Text)
    at: Mapped[Moment]  # when it happened, which may be before it was stored
    actor: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    facts: Mapped[JsonObject]
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint(f"change IN ({', '.join(repr(change) for change in CHANGES)})", name="change"),
        Index("idx_incident_history_incident_id", "incident_id", "id"),
    )


class GroupingPosition(Base):
    """How far the history of alerts has been taken in by the incidents: one row."""

    __tablename__ = "grouping_position"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False, server_default=text("1"))
    last_id: Mapped[int] = mapped_column(BigInteger)  # of `alert_history`; what follows waits

    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)


class LateChange(Base):
    """An id of the alerts' history that was passed over, as its transaction had not ended: it comes late, or never."""

    __tablename__ = "late_changes"

    history_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    noted_at: Mapped[CreatedAt]


class Notification(Base):
    """One incident state on its way to one target.  The row is the job."""

    __tablename__ = "notifications"

    id: Mapped[BigId]
    incident_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("incidents.id", ondelete="CASCADE"))
    incident_state: Mapped[int] = mapped_column(Integer)
    analysis_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("ai_analysis_results.id", ondelete="SET NULL")
    )
    target: Mapped[str] = mapped_column(Text)  # its name, since its URL holds secrets
    status: Mapped[str] = mapped_column(Text, server_default=text("'waiting'"))
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    claimed_by: Mapped[str | None] = mapped_column(Text)
    next_try_at: Mapped[CreatedAt]
    tried_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    error: Mapped[str | None] = mapped_column(Text)  # of the latest try, or why it is skipped
    sent_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'sent', 'skipped', 'failed')", name="status"),
        UniqueConstraint("incident_id", "incident_state", "target"),
        Index("idx_notifications_waiting", "next_try_at", "id", postgresql_where=text("status = 'waiting'")),
        Index("idx_notifications_analysis_id", "analysis_id"),
    )
