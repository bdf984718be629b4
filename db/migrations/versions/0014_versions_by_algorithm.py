"""Let each detector have a version in force, and one that scores in its shadow before it may take the place."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "model_versions", sa.Column("is_challenger", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("model_versions", sa.Column("challenger_since", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("model_versions", sa.Column("shadow_share", sa.Double(), nullable=True))
    op.add_column(
        "model_versions",
        sa.Column(
            "drift", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
    )
    op.create_check_constraint(op.f("ck_model_versions_role"), "model_versions", "NOT (is_active AND is_challenger)")
    for name, column in (("in_force", "is_active"), ("challenger", "is_challenger")):
        op.create_index(
            f"uq_model_versions_{name}",
            "model_versions",
            ["algorithm"],
            unique=True,
            postgresql_where=sa.text(column),
        )
    op.drop_index("uq_model_versions_is_active", "model_versions", postgresql_where=sa.text("is_active"))
    op.add_column("series_progress", sa.Column("shadow_memory", sa.LargeBinary(), nullable=True))
    op.add_column("series_progress", sa.Column("shadow_version_id", sa.BigInteger(), nullable=True))
    op.create_table(
        "shadow_scores",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("alert", sa.Double(), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False),
        postgresql_partition_by="RANGE (timestamp)",
    )
    op.create_index(
        "idx_shadow_scores_series_ts",
        "shadow_scores",
        ["series_id", sa.literal_column("timestamp DESC")],
        unique=True,
    )


def downgrade() -> None:
    op.drop_table("shadow_scores")
    op.drop_column("series_progress", "shadow_version_id")
    op.drop_column("series_progress", "shadow_memory")
    # The release before knows one version in force, of its one algorithm.
    op.execute("UPDATE model_versions SET is_active = false WHERE algorithm <> 'isolation_forest'")
    op.create_index(
        "uq_model_versions_is_active",
        "model_versions",
        ["is_active"],
        unique=True,
        postgresql_where=sa.text("is_active"),
    )
    for name, column in (("challenger", "is_challenger"), ("in_force", "is_active")):
        op.drop_index(f"uq_model_versions_{name}", "model_versions", postgresql_where=sa.text(column))
    op.drop_constraint(op.f("ck_model_versions_role"), "model_versions", type_="check")
    for column in ("drift", "shadow_share", "challenger_since", "is_challenger"):
        op.drop_column("model_versions", column)
