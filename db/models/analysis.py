"""Results of the AI: anomalies of samples and root-cause analyses of alerts, and the judgements of people."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, JsonObject, Labels

ANOMALY = "anomaly_detection"
LLM = "llm_analysis"


class AnalysisResult(Base):
    """One anomaly (`anomaly_detection`) or one root-cause analysis (`llm_analysis`).

    For an analysis the row is the job as well: pending until a worker claims it with an attempt and a lease. That of
    an alert itself is made when it is done.
    `analysis_data` of an analysis: root_cause, mitigation, analysis, evidence [{id, kind, summary, ...}], cited,
    reason, cached, outdated; of an anomaly: value, per_second (that it is the growth of a counter), threshold,
    expected_low, expected_high, alert, features [{name, value, contribution}], model_version.
    """

    __tablename__ = "ai_analysis_results"

    id: Mapped[BigId]
    alert_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("alerts.id", ondelete="CASCADE"))
    # Of an analysis that a whole incident asks for, and then `alert_id` is empty: the incident, and its state.
    incident_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("incidents.id", ondelete="CASCADE"))
    incident_state: Mapped[int | None] = mapped_column(Integer)
    analysis_type: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, server_default=text("'done'"))
    outcome: Mapped[str | None] = mapped_column(Text)
    model_name: Mapped[str | None] = mapped_column(Text)
    analysis_data: Mapped[JsonObject]
    confidence_score: Mapped[float | None] = mapped_column(Double)
    question_digest: Mapped[str | None] = mapped_column(Text)
    # True for the one analysis of each alert and for that of an incident's state; false for those of people.
    automatic: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    requested_by: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # The worker that is at it, such as `llm@host`; a lease without one is a rest.
    claimed_by: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    series_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("series.id", ondelete="CASCADE"))
    sample_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    score: Mapped[float | None] = mapped_column(Double)
    # Whether an anomaly has been looked at for the incident that it may belong to.
    grouped: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint(f"analysis_type IN ('{ANOMALY}', '{LLM}')", name="analysis_type"),
        CheckConstraint("status IN ('pending', 'running', 'done', 'failed')", name="status"),
        CheckConstraint("outcome IN ('model', 'evidence_only', 'insufficient')", name="outcome"),
        Index("idx_analysis_alert_id", "alert_id", "id"),
        Index("idx_analysis_created_at", "created_at", "id"),
        # One for each type: of a joint one the planner thinks too badly to use it on many rows.
        Index("idx_analysis_anomalies", "id", postgresql_where=text(f"analysis_type = '{ANOMALY}'")),
        Index("idx_analysis_analyses", "id", postgresql_where=text(f"analysis_type = '{LLM}'")),
        Index(
            "uq_analysis_automatic",
            "alert_id",
            unique=True,
            postgresql_where=text(f"analysis_type = '{LLM}' AND automatic"),
        ),
        Index(
            "uq_analysis_anomaly",
            "series_id",
            "sample_at",
            unique=True,
            postgresql_where=text(f"analysis_type = '{ANOMALY}'"),
        ),
        Index(
            "idx_analysis_anomaly_sample_at",
            "sample_at",
            "id",
            postgresql_where=text(f"analysis_type = '{ANOMALY}'"),
        ),
        Index("idx_analysis_unfinished", "id", postgresql_where=text("status IN ('pending', 'running')")),
        Index("idx_analysis_claimed_by", "claimed_by", postgresql_where=text("claimed_by IS NOT NULL")),
        # Without those of single alerts, which are made for every one of them and never replaced.
        Index(
            "idx_analysis_replaceable",
            "id",
            postgresql_where=text(
                "outcome = 'evidence_only' AND status = 'done' AND (incident_id IS NOT NULL OR automatic IS false)"
            ),
        ),
        # For the series that go: their anomalies go with them.
        Index("idx_analysis_series_id", "series_id", postgresql_where=text("series_id IS NOT NULL")),
        Index("idx_analysis_incident_id", "incident_id", "id", postgresql_where=text("incident_id IS NOT NULL")),
        Index(
            "uq_analysis_incident",
            "incident_id",
            "incident_state",
            unique=True,
            postgresql_where=text(f"analysis_type = '{LLM}' AND automatic AND incident_id IS NOT NULL"),
        ),
        Index(
            "idx_analysis_ungrouped",
            "id",
            postgresql_where=text(f"analysis_type = '{ANOMALY}' AND NOT grouped"),
        ),
        Index("idx_analysis_question", "question_digest", postgresql_where=text("outcome = 'model'")),
    )


class AnalysisFeedback(Base):
    """What a person said of an analysis."""

    __tablename__ = "analysis_feedback"

    id: Mapped[BigId]
    analysis_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("ai_analysis_results.id", ondelete="CASCADE"), index=True
    )
    helpful: Mapped[bool] = mapped_column(Boolean)
    root_cause: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]


class ChangeEvent(Base):
    """A deploy, a configuration change or the like, as evidence.

    `details`: commits [{id, message, files, diff}], revision, environment, repository, sender; each where it was told.
    """

    __tablename__ = "change_events"

    id: Mapped[BigId]
    kind: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    labels: Mapped[Labels]
    at: Mapped[CreatedAt]
    url: Mapped[str | None] = mapped_column(Text)
    details: Mapped[JsonObject]
    # SHA-256 over what was sent, so that a repeated request is stored once.
    digest: Mapped[bytes] = mapped_column(unique=True)
    actor: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("kind IN ('deploy', 'config', 'scale', 'feature_flag', 'other')", name="kind"),
        Index("idx_change_events_at", "at"),
    )
