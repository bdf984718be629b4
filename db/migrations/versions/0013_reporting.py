"""Views for dashboards in a schema of their own, so that who draws them needs no right to any table."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# What people look at: no payload, no address, nothing of accounts and keys.
_VIEWS = {
    "alerts": """
        SELECT id, fingerprint, alert_name, severity, status, description, labels, starts_at, ends_at,
            COALESCE(ends_at, now()) - starts_at AS lasted, acknowledged_at, acknowledged_by, times_received, created_at
        FROM public.alerts
    """,
    "alert_changes": """
        SELECT h.id, h.alert_id, a.alert_name, a.severity, h.change, h.at, h.actor, h.note
        FROM public.alert_history h JOIN public.alerts a ON a.id = h.alert_id
    """,
    "analyses": """
        SELECT r.id, r.alert_id, a.alert_name, a.severity, a.labels, r.status, r.outcome, r.model_name, r.automatic,
            r.confidence_score AS confidence, r.analysis_data ->> 'root_cause' AS root_cause,
            r.analysis_data ->> 'mitigation' AS mitigation, r.analysis_data ->> 'reason' AS reason,
            r.attempt, r.created_at, r.finished_at
        FROM public.ai_analysis_results r JOIN public.alerts a ON a.id = r.alert_id
        WHERE r.analysis_type = 'llm_analysis'
    """,
    "feedback": """
        SELECT id, analysis_id, helpful, root_cause, note, created_at FROM public.analysis_feedback
    """,
    "series": """
        SELECT s.id, s.metric_name, s.labels,
            s.metric_name || COALESCE('{' || (
                SELECT string_agg(name || '="' || value || '"', ', ' ORDER BY name)
                FROM jsonb_each_text(s.labels) AS pairs (name, value)
            ) || '}', '') AS name,
            p.newest_at, p.scored_until, p.late_samples, p.failures, s.created_at
        FROM public.series s LEFT JOIN public.series_progress p ON p.series_id = s.id
    """,
    "samples": "SELECT series_id, timestamp, value FROM public.samples",
    "scores": """
        SELECT s.series_id, s.timestamp, s.score, s.alert,
            CASE s.state WHEN 0 THEN 'warming_up' WHEN 1 THEN 'scoring' ELSE 'stale' END AS state,
            m.version AS model_version
        FROM public.scores s LEFT JOIN public.model_versions m ON m.id = s.model_version_id
    """,
    "anomalies": """
        SELECT r.id, r.series_id, s.metric_name, s.labels, r.sample_at AS at, r.score, r.confidence_score AS alert,
            CAST(r.analysis_data ->> 'value' AS double precision) AS value,
            CAST(r.analysis_data ->> 'expected_low' AS double precision) AS expected_low,
            CAST(r.analysis_data ->> 'expected_high' AS double precision) AS expected_high,
            r.analysis_data -> 'features' -> 0 ->> 'name' AS most_telling,
            r.analysis_data ->> 'model_version' AS model_version, r.created_at
        FROM public.ai_analysis_results r JOIN public.series s ON s.id = r.series_id
        WHERE r.analysis_type = 'anomaly_detection'
    """,
    "anomaly_alerts": """
        SELECT id, series_id, labels, starts_at, newest_at, ends_at, first_told_at, told_at, end_told_at
        FROM public.anomaly_alerts
    """,
    "changes": "SELECT id, kind, title, labels, at, url FROM public.change_events",
    "quarantine": "SELECT id, reason, detail, actor, created_at FROM public.quarantine",
    "models": """
        SELECT id, version, algorithm, training_date, is_active, activated_at,
            CAST(evaluation ->> 'auroc' AS double precision) AS auroc,
            CAST(evaluation ->> 'average_precision' AS double precision) AS average_precision,
            CAST(evaluation ->> 'detection_rate' AS double precision) AS detection_rate,
            CAST(evaluation ->> 'false_alarms_per_week' AS double precision) AS false_alarms_per_week,
            data_window ->> 'since' AS data_since, data_window ->> 'until' AS data_until, created_at
        FROM public.model_versions
    """,
    "runs": """
        SELECT id, kind, state, result ->> 'outcome' AS outcome, result ->> 'version' AS version, error, requested_by,
            created_at, started_at, finished_at
        FROM public.task_runs
    """,
}


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS reporting")
    for name, query in _VIEWS.items():
        op.execute(f"CREATE OR REPLACE VIEW reporting.{name} AS {query}")


def downgrade() -> None:
    for name in reversed(_VIEWS):
        op.execute(f"DROP VIEW reporting.{name}")
    op.execute("DROP SCHEMA reporting")
