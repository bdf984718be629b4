"""Series that go find their anomalies by an index, and what may be replaced is found without what never is."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TABLE = "ai_analysis_results"


def upgrade() -> None:
    op.create_index("idx_analysis_series_id", _TABLE, ["series_id"], postgresql_where="series_id IS NOT NULL")
    op.create_index(
        "idx_analysis_replaceable",
        _TABLE,
        ["id"],
        postgresql_where=(
            "outcome = 'evidence_only' AND status = 'done' AND (incident_id IS NOT NULL OR automatic IS false)"
        ),
    )
    op.drop_index("idx_analysis_evidence_only", _TABLE)


def downgrade() -> None:
    op.create_index("idx_analysis_evidence_only", _TABLE, ["id"], postgresql_where="outcome = 'evidence_only'")
    op.drop_index("idx_analysis_replaceable", _TABLE)
    op.drop_index("idx_analysis_series_id", _TABLE)
