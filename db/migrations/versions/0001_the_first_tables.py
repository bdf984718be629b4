"""The first tables: alerts, samples, results, models, access and audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("alert_name", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "annotations",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("starts_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ends_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("generator_url", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=True),
        sa.Column(
            "extra", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("times_received", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("last_received_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("acknowledged_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledgement_note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('firing', 'resolved', 'stale')", name=op.f("ck_alerts_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("fingerprint", "starts_at", name=op.f("uq_alerts_fingerprint_starts_at")),
    )
    op.create_index("idx_alerts_alert_name", "alerts", ["alert_name", "id"], unique=False)
    op.create_index("idx_alerts_created_at", "alerts", ["created_at", "id"], unique=False)
    op.create_index(
        "idx_alerts_labels",
        "alerts",
        ["labels"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
    )
    op.create_index("idx_alerts_severity", "alerts", ["severity", "id"], unique=False)
    op.create_index("idx_alerts_starts_at", "alerts", ["starts_at"], unique=False)
    op.create_index("idx_alerts_status", "alerts", ["status", "id"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("scopes <@ ARRAY['read', 'write', 'admin']", name=op.f("ck_api_keys_scopes")),
        sa.CheckConstraint("rate > 0", name=op.f("ck_api_keys_rate")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_api_keys_secret_hash")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("succeeded", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("client_address", sa.Text(), nullable=True),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("idx_audit_log_at", "audit_log", ["at", "id"], unique=False)
    op.create_table(
        "audit_outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "facts", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_outbox")),
    )
    op.create_table(
        "change_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('deploy', 'config', 'scale', 'feature_flag', 'other')", name=op.f("ck_change_events_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_events")),
        sa.UniqueConstraint("digest", name=op.f("uq_change_events_digest")),
    )
    op.create_index("idx_change_events_at", "change_events", ["at"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "model_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column(
            "parameters", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("training_date", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("activated_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("artifact", sa.LargeBinary(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column(
            "library_versions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("feature_names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "data_window",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "evaluation", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("version", name=op.f("uq_model_versions_version")),
    )
    op.create_index(
        "uq_model_versions_is_active",
        "model_versions",
        ["is_active"],
        unique=True,
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index("idx_quarantine_created_at", "quarantine", ["created_at"], unique=False)
    op.create_table(
        "samples",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        postgresql_partition_by="RANGE (timestamp)",
    )
    op.create_index("idx_metrics_name_ts", "samples", ["series_id", sa.literal_column("timestamp DESC")], unique=True)
    op.create_table(
        "scores",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("alert", sa.Double(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False),
        postgresql_partition_by="RANGE (timestamp)",
    )
    op.create_index("idx_scores_series_ts", "scores", ["series_id", sa.literal_column("timestamp DESC")], unique=True)
    op.create_table(
        "series",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("metric_name", sa.Text(), nullable=False),
        sa.Column(
            "labels", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("digest", name=op.f("uq_series_digest")),
    )
    op.create_index("idx_metrics_labels", "series", ["labels"], unique=False, postgresql_using="gin")
    op.create_index("idx_series_metric_name", "series", ["metric_name", "id"], unique=False)
    op.create_table(
        "task_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column(
            "progress", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "result", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('train', 'evaluate')", name=op.f("ck_task_runs_kind")),
        sa.CheckConstraint("state IN ('pending', 'running', 'done', 'failed')", name=op.f("ck_task_runs_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_runs")),
    )
    op.create_index("idx_task_runs_created_at", "task_runs", ["created_at"], unique=False)
    op.create_index(
        "idx_task_runs_unfinished",
        "task_runs",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running')"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("scopes <@ ARRAY['read', 'write', 'admin']", name=op.f("ck_users_scopes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "ai_analysis_results",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=True),
        sa.Column("analysis_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'done'"), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("model_name", sa.Text(), nullable=True),
        sa.Column(
            "analysis_data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("confidence_score", sa.Double(), nullable=True),
        sa.Column("question_digest", sa.Text(), nullable=True),
        sa.Column("automatic", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("series_id", sa.BigInteger(), nullable=True),
        sa.Column("sample_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "analysis_type IN ('anomaly_detection', 'llm_analysis')", name=op.f("ck_ai_analysis_results_analysis_type")
        ),
        sa.CheckConstraint(
            "outcome IN ('model', 'evidence_only', 'insufficient')", name=op.f("ck_ai_analysis_results_outcome")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'done', 'failed')", name=op.f("ck_ai_analysis_results_status")
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_ai_analysis_results_alert_id_alerts"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_ai_analysis_results_series_id_series"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_analysis_results")),
    )
    op.create_index("idx_analysis_alert_id", "ai_analysis_results", ["alert_id", "id"], unique=False)
    op.create_index(
        "idx_analysis_anomaly_sample_at",
        "ai_analysis_results",
        ["sample_at", "id"],
        unique=False,
        postgresql_where=sa.text("analysis_type = 'anomaly_detection'"),
    )
    op.create_index("idx_analysis_created_at", "ai_analysis_results", ["created_at", "id"], unique=False)
    op.create_index(
        "idx_analysis_evidence_only",
        "ai_analysis_results",
        ["id"],
        unique=False,
        postgresql_where=sa.text("outcome = 'evidence_only'"),
    )
    op.create_index(
        "idx_analysis_question",
        "ai_analysis_results",
        ["question_digest"],
        unique=False,
        postgresql_where=sa.text("outcome = 'model'"),
    )
    op.create_index("idx_analysis_type", "ai_analysis_results", ["analysis_type", "id"], unique=False)
    op.create_index(
        "idx_analysis_unfinished",
        "ai_analysis_results",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.create_index(
        "uq_analysis_anomaly",
        "ai_analysis_results",
        ["series_id", "sample_at"],
        unique=True,
        postgresql_where=sa.text("analysis_type = 'anomaly_detection'"),
    )
    op.create_index(
        "uq_analysis_automatic",
        "ai_analysis_results",
        ["alert_id"],
        unique=True,
        postgresql_where=sa.text("analysis_type = 'llm_analysis' AND automatic"),
    )
    op.create_table(
        "alert_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "change IN ('firing', 'resolved', 'reopened', 'stale', 'acknowledged')",
            name=op.f("ck_alert_history_change"),
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_alert_history_alert_id_alerts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_history")),
    )
    op.create_index("idx_alert_history_alert_id", "alert_history", ["alert_id", "id"], unique=False)
    op.create_table(
        "series_progress",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("newest_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("scored_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("late_samples", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("memory", sa.LargeBinary(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_series_progress_series_id_series"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("series_id", name=op.f("pk_series_progress")),
    )
    op.create_table(
        "analysis_feedback",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("analysis_id", sa.BigInteger(), nullable=False),
        sa.Column("helpful", sa.Boolean(), nullable=False),
        sa.Column("root_cause", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis_id"],
            ["ai_analysis_results.id"],
            name=op.f("fk_analysis_feedback_analysis_id_ai_analysis_results"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analysis_feedback")),
    )
    op.create_index(op.f("idx_analysis_feedback_analysis_id"), "analysis_feedback", ["analysis_id"], unique=False)

    # Rows of these are updated in place all the time; free room in the page keeps that off the indexes.
    op.execute("ALTER TABLE series_progress SET (fillfactor = 70)")
    op.execute("ALTER TABLE alerts SET (fillfactor = 85)")
    op.execute("CREATE SEQUENCE audit_batch")
    op.execute("INSERT INTO installation DEFAULT VALUES")
    op.execute(
        """
        CREATE VIEW metrics AS
        SELECT series.metric_name, samples.value AS metric_value, series.labels, samples.timestamp
        FROM samples JOIN series ON series.id = samples.series_id
        """
    )


def downgrade() -> None:
    op.execute("DROP VIEW metrics")
    op.execute("DROP SEQUENCE audit_batch")
    op.drop_index(op.f("idx_analysis_feedback_analysis_id"), table_name="analysis_feedback")
    op.drop_table("analysis_feedback")
    op.drop_table("series_progress")
    op.drop_index("idx_alert_history_alert_id", table_name="alert_history")
    op.drop_table("alert_history")
    op.drop_index(
        "uq_analysis_automatic",
        table_name="ai_analysis_results",
        postgresql_where=sa.text("analysis_type = 'llm_analysis' AND automatic"),
    )
    op.drop_index(
        "uq_analysis_anomaly",
        table_name="ai_analysis_results",
        postgresql_where=sa.text("analysis_type = 'anomaly_detection'"),
    )
    op.drop_index(
        "idx_analysis_unfinished",
        table_name="ai_analysis_results",
        postgresql_where=sa.text("status IN ('pending', 'running')"),
    )
    op.drop_index("idx_analysis_type", table_name="ai_analysis_results")
    op.drop_index(
        "idx_analysis_question", table_name="ai_analysis_results", postgresql_where=sa.text("outcome = 'model'")
    )
    op.drop_index(
        "idx_analysis_evidence_only",
        table_name="ai_analysis_results",
        postgresql_where=sa.text("outcome = 'evidence_only'"),
    )
    op.drop_index("idx_analysis_created_at", table_name="ai_analysis_results")
    op.drop_index(
        "idx_analysis_anomaly_sample_at",
        table_name="ai_analysis_results",
        postgresql_where=sa.text("analysis_type = 'anomaly_detection'"),
    )
    op.drop_index("idx_analysis_alert_id", table_name="ai_analysis_results")
    op.drop_table("ai_analysis_results")
    op.drop_table("users")
    op.drop_index(
        "idx_task_runs_unfinished", table_name="task_runs", postgresql_where=sa.text("state IN ('pending', 'running')")
    )
    op.drop_index("idx_task_runs_created_at", table_name="task_runs")
    op.drop_table("task_runs")
    op.drop_index("idx_series_metric_name", table_name="series")
    op.drop_index("idx_metrics_labels", table_name="series", postgresql_using="gin")
    op.drop_table("series")
    op.drop_index("idx_scores_series_ts", table_name="scores")
    op.drop_table("scores")
    op.drop_index("idx_metrics_name_ts", table_name="samples")
    op.drop_table("samples")
    op.drop_index("idx_quarantine_created_at", table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_index("uq_model_versions_is_active", table_name="model_versions", postgresql_where=sa.text("is_active"))
    op.drop_table("model_versions")
    op.drop_table("installation")
    op.drop_index("idx_change_events_at", table_name="change_events")
    op.drop_table("change_events")
    op.drop_table("audit_outbox")
    op.drop_index("idx_audit_log_at", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_table("api_keys")
    op.drop_index("idx_alerts_status", table_name="alerts")
    op.drop_index("idx_alerts_starts_at", table_name="alerts")
    op.drop_index("idx_alerts_severity", table_name="alerts")
    op.drop_index("idx_alerts_labels", table_name="alerts", postgresql_using="gin")
    op.drop_index("idx_alerts_created_at", table_name="alerts")
    op.drop_index("idx_alerts_alert_name", table_name="alerts")
    op.drop_table("alerts")
