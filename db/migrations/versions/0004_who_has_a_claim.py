"""Remember which worker has a claim, so that what it had when it stopped need not wait for the end of a lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = ("ai_analysis_results", "series_progress", "task_runs")


def upgrade() -> None:
    # Nullable, because the running release does not write it.
    for table in _TABLES:
        op.add_column(table, sa.Column("claimed_by", sa.Text(), nullable=True))
    op.create_index(
        "idx_analysis_claimed_by",
        "ai_analysis_results",
        ["claimed_by"],
        unique=False,
        postgresql_where=sa.text("claimed_by IS NOT NULL"),
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "claimed_by")
