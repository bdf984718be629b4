"""Versions of the detection model, and the long work that makes them."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import TIMESTAMP, Boolean, CheckConstraint, Double, Index, Integer, LargeBinary, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, JsonObject, Moment


class ModelVersion(Base):
    """One trained model with everything needed to load it, or to refuse it.

    Of each algorithm at most one is in force, the champion, and at most one scores in its shadow, the challenger.
    """

    __tablename__ = "model_versions"

    id: Mapped[BigId]
    version: Mapped[str] = mapped_column(Text, unique=True)
    algorithm: Mapped[str] = mapped_column(Text)
    parameters: Mapped[JsonObject]
    training_date: Mapped[Moment]
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    activated_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    is_challenger: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    challenger_since: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # Share of the series that it scored in the shadow, as it was fixed when it began.
    shadow_share: Mapped[float | None] = mapped_column(Double)
    artifact: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    checksum: Mapped[str] = mapped_column(Text)
    library_versions: Mapped[JsonObject]
    feature_names: Mapped[list[str]] = mapped_column(JSONB)
    # First and last time, series and samples of the history it was trained on.
    data_window: Mapped[JsonObject]
    evaluation: Mapped[JsonObject]
    # How far what is scored lately has moved away from what it was trained on.
    drift: Mapped[JsonObject]
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("NOT (is_active AND is_challenger)", name="role"),
        Index("uq_model_versions_in_force", "algorithm", unique=True, postgresql_where=text("is_active")),
        Index("uq_model_versions_challenger", "algorithm", unique=True, postgresql_where=text("is_challenger")),
    )

    @property
    def role(self) -> str:
        """champion, challenger, former (was in force once) or stored."""
        if self.is_active:
            return "champion"
        if self.is_challenger:
            return "challenger"
        return "stored" if self.activated_at is None else "former"


class TaskRun(Base):
    """Long work that beat or a person asked for: a training or an evaluation, with its progress."""

    __tablename__ = "task_runs"

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default=text("'pending'"))
    progress: Mapped[JsonObject]
    result: Mapped[JsonObject]
    error: Mapped[str | None] = mapped_column(Text)
    requested_by: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    claimed_by: Mapped[str | None] = mapped_column(Text)
    # Half-finished training, so that each chunk of it is a short task.
    checkpoint: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    started_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("kind IN ('train', 'evaluate')", name="kind"),
        CheckConstraint("state IN ('pending', 'running', 'done', 'failed')", name="state"),
        Index("idx_task_runs_unfinished", "created_at", postgresql_where=text("state IN ('pending', 'running')")),
        Index("idx_task_runs_created_at", "created_at"),
    )
