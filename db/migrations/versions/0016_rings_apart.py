"""Keep what changes once an hour of a series' memory apart, so that most batches read and write a fifth of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("series_progress", sa.Column("rings", sa.LargeBinary(), nullable=True))
    # Noise can't be compressed; out of line, a row whose rings stay as they are points to what is there.
    op.execute("ALTER TABLE series_progress ALTER COLUMN rings SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_column("series_progress", "rings")
