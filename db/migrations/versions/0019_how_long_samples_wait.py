"""Say since when the samples of a series wait to be scored: the time of the newest moves on while nobody scores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What waits already is taken to wait since now, and so is what the running release adds. No row is rewritten.
    op.add_column(
        "series_progress",
        sa.Column("unscored_since", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("series_progress", "unscored_since")
