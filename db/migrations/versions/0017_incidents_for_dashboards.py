"""Show incidents, their timelines and what was told of them to dashboards; an analysis may be that of an incident."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# Columns are added at the end, and views replaced in place: who may read them may read them still.
_ANALYSES = """
    SELECT r.id, r.alert_id, {name} AS alert_name, {severity} AS severity, {labels} AS labels,
        r.status, r.outcome, r.model_name, r.automatic,
        r.confidence_score AS confidence, r.analysis_data ->> 'root_cause' AS root_cause,
        r.analysis_data ->> 'mitigation' AS mitigation, r.analysis_data ->> 'reason' AS reason,
        r.attempt, r.created_at, r.finished_at{more}
    FROM public.ai_analysis_results r {joined}
    WHERE r.analysis_type = 'llm_analysis'
"""
_OF_BOTH = _ANALYSES.format(
    name="COALESCE(a.alert_name, i.title)",
    severity="COALESCE(a.severity, i.severity)",
    labels="COALESCE(a.labels, i.labels)",
    more=", r.incident_id, r.incident_state",
    joined="LEFT JOIN public.alerts a ON a.id = r.alert_id LEFT JOIN public.incidents i ON i.id = r.incident_id",
)
_OF_ALERTS = _ANALYSES.format(
    name="a.alert_name",
    severity="a.severity",
    labels="a.labels",
    more="",
    joined="JOIN public.alerts a ON a.id = r.alert_id",
)
_NEW = {
    "incidents": """
        SELECT i.id, i.title, i.summary, i.severity, i.status, i.opened_at, i.last_activity_at, i.resolved_at,
            COALESCE(i.resolved_at, now()) - i.opened_at AS lasted, i.reopened, i.acknowledged_at, i.acknowledged_by,
            i.services, i.alert_names, i.state, i.analysed_state, i.confirmed_cause, i.confirmed_by, i.confirmed_at,
            i.suspects -> 0 ->> 'service' AS first_suspect,
            CAST(i.suspects -> 0 ->> 'confidence' AS double precision) AS first_suspect_confidence,
            (SELECT count(*) FROM public.incident_alerts m WHERE m.incident_id = i.id) AS alerts,
            (SELECT count(*) FROM public.incident_anomalies m WHERE m.incident_id = i.id) AS anomalies, i.created_at
        FROM public.incidents i WHERE i.merged_into IS NULL
    """,
    "incident_changes": """
        SELECT h.id, h.incident_id, i.title, i.severity, h.change, h.at, h.actor, h.note
        FROM public.incident_history h JOIN public.incidents i ON i.id = h.incident_id
    """,
    "notifications": """
        SELECT id, incident_id, incident_state, analysis_id, status, attempt, error, sent_at, created_at
        FROM public.notifications
    """,
}


def upgrade() -> None:
    op.execute(f"CREATE OR REPLACE VIEW reporting.analyses AS {_OF_BOTH}")
    for name, query in _NEW.items():
        op.execute(f"CREATE VIEW reporting.{name} AS {query}")


def downgrade() -> None:
    for name in reversed(_NEW):
        op.execute(f"DROP VIEW reporting.{name}")
    # A view can't lose a column in place.
    op.execute("DROP VIEW reporting.analyses")
    op.execute(f"CREATE VIEW reporting.analyses AS {_OF_ALERTS}")
