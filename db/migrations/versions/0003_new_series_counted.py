"""Count the new series of each caller by the hour, so that a label gone wild can't fill the database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "new_series_counts",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("since", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", name="pk_new_series_counts"),
    )


def downgrade() -> None:
    op.drop_table("new_series_counts")
