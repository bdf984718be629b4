"""Note what came in one row a request, because moving the progress of each series cost more than its samples."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sample_arrivals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("series_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("times", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("stored_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sample_arrivals")),
    )
    # A row lives for a moment: making it smaller takes longer than writing it.
    for column in ("series_ids", "times"):
        op.execute(f"ALTER TABLE sample_arrivals ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.add_column("installation", sa.Column("series_epoch", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("installation", "series_epoch")
    op.drop_table("sample_arrivals")
