"""Keep who calls whom and what runs where, with when it was seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "topology_edges",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("callee", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'calls'"), nullable=False),
        sa.Column("first_seen", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("source IN ('api', 'labels', 'traces')", name=op.f("ck_topology_edges_source")),
        sa.CheckConstraint("kind IN ('calls', 'runs_on')", name=op.f("ck_topology_edges_kind")),
        sa.PrimaryKeyConstraint("caller", "callee", "source", name=op.f("pk_topology_edges")),
    )
    op.create_index("idx_topology_edges_callee", "topology_edges", ["callee", "caller", "source"], unique=False)
    op.create_index("idx_topology_edges_last_seen", "topology_edges", ["last_seen"], unique=False)


def downgrade() -> None:
    op.drop_table("topology_edges")
