"""Counters are judged by their growth: of what is remembered, expected and told it is known whether it is per second.

What is remembered of counters until now is of their totals, so those series begin anew at their next sample.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TABLES = ("forecasts", "anomaly_alerts")
# Columns are added at the end, and views replaced in place: who may read them may read them still.
_SERIES = """
    SELECT s.id, s.metric_name, s.labels,
        s.metric_name || COALESCE('{{' || (
            SELECT string_agg(name || '="' || value || '"', ', ' ORDER BY name)
            FROM jsonb_each_text(s.labels) AS pairs (name, value)
        ) || '}}', '') AS name,
        p.newest_at, p.scored_until, p.late_samples, p.failures, s.created_at{more}
    FROM public.series s LEFT JOIN public.series_progress p ON p.series_id = s.id
"""
_ANOMALIES = """
    SELECT r.id, r.series_id, s.metric_name, s.labels, r.sample_at AS at, r.score, r.confidence_score AS alert,
        CAST(r.analysis_data ->> 'value' AS double precision) AS value,
        CAST(r.analysis_data ->> 'expected_low' AS double precision) AS expected_low,
        CAST(r.analysis_data ->> 'expected_high' AS double precision) AS expected_high,
        r.analysis_data -> 'features' -> 0 ->> 'name' AS most_telling,
        r.analysis_data ->> 'model_version' AS model_version, r.created_at{more}
    FROM public.ai_analysis_results r JOIN public.series s ON s.id = r.series_id
    WHERE r.analysis_type = 'anomaly_detection'
"""
_VIEWS = {
    "series": (_SERIES, ", p.counted_at IS NOT NULL AS per_second"),
    "anomalies": (_ANOMALIES, ", COALESCE(CAST(r.analysis_data ->> 'per_second' AS boolean), false) AS per_second"),
}


def upgrade() -> None:
    op.add_column("series_progress", sa.Column("counted_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("series_progress", sa.Column("counted", sa.Double(), nullable=True))
    for table in _TABLES:
        op.add_column(table, sa.Column("per_second", sa.Boolean(), server_default=sa.false(), nullable=False))
    for name, (query, more) in _VIEWS.items():
        op.execute(f"CREATE OR REPLACE VIEW reporting.{name} AS {query.format(more=more)}")


def downgrade() -> None:
    for name, (query, _) in _VIEWS.items():
        # A view can't lose a column in place.
        op.execute(f"DROP VIEW reporting.{name}")
        op.execute(f"CREATE VIEW reporting.{name} AS {query.format(more='')}")
    for table in _TABLES:
        op.drop_column(table, "per_second")
    op.drop_column("series_progress", "counted")
    op.drop_column("series_progress", "counted_at")
