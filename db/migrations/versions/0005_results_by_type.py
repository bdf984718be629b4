"""Find the results of one type by an index of their own: on many rows the planner read those of the other type too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TYPES = {"idx_analysis_anomalies": "anomaly_detection", "idx_analysis_analyses": "llm_analysis"}


def upgrade() -> None:
    # Built beside the running release, which goes on writing meanwhile.
    with op.get_context().autocommit_block():
        for name, analysis_type in _TYPES.items():
            op.create_index(
                name,
                "ai_analysis_results",
                ["id"],
                unique=False,
                postgresql_where=sa.text(f"analysis_type = '{analysis_type}'"),
                postgresql_concurrently=True,
                if_not_exists=True,
            )
        op.drop_index("idx_analysis_type", "ai_analysis_results", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    op.create_index("idx_analysis_type", "ai_analysis_results", ["analysis_type", "id"], unique=False)
    for name in _TYPES:
        op.drop_index(name, "ai_analysis_results")
