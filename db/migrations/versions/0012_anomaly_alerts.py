"""Remember of which anomalies the Alertmanager was told, so that each is told once and its end is told, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    empty = sa.text("'{}'::jsonb")
    op.create_table(
        "anomaly_alerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), server_default=empty, nullable=False),
        sa.Column("annotations", postgresql.JSONB(astext_type=sa.Text()), server_default=empty, nullable=False),
        sa.Column("starts_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("newest_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expected_low", sa.Double(), nullable=True),
        sa.Column("expected_high", sa.Double(), nullable=True),
        sa.Column("ends_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("first_told_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("told_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("told_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("end_told_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_anomaly_alerts_series_id_series"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anomaly_alerts")),
    )
    op.create_index(
        "uq_anomaly_alerts_open",
        "anomaly_alerts",
        ["series_id"],
        unique=True,
        postgresql_where=sa.text("ends_at IS NULL"),
    )
    op.create_index("idx_anomaly_alerts_series_id", "anomaly_alerts", ["series_id", "id"], unique=False)
    op.create_index("idx_anomaly_alerts_fingerprint", "anomaly_alerts", ["fingerprint"], unique=False)
    op.create_index(
        "idx_anomaly_alerts_untold",
        "anomaly_alerts",
        ["id"],
        unique=False,
        postgresql_where=sa.text("end_told_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("anomaly_alerts")
