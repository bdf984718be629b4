"""Say since when an incident is what it is now: one that comes back after days is put down to what was done lately."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default, because the running release does not write it yet.
    op.add_column(
        "incidents",
        sa.Column("active_since", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.execute("UPDATE incidents SET active_since = opened_at")


def downgrade() -> None:
    op.drop_column("incidents", "active_since")
