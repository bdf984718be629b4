"""Keep what people say of anomalies, which detector they choose for which series, and what is expected next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "anomaly_feedback",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("sample_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("verdict IN ('real', 'false')", name=op.f("ck_anomaly_feedback_verdict")),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_anomaly_feedback_series_id_series"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_anomaly_feedback")),
    )
    op.create_index(
        "idx_anomaly_feedback_sample",
        "anomaly_feedback",
        ["series_id", "sample_at", sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index("idx_anomaly_feedback_sample_at", "anomaly_feedback", ["sample_at"], unique=False)
    op.create_table(
        "detector_choices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("metric_name", sa.Text(), nullable=True),
        sa.Column(
            "matchers",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_detector_choices")),
    )
    op.create_table(
        "forecasts",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("level", sa.Double(), nullable=False),
        sa.Column("starts_at", sa.TIMESTAMP(timezone=True), nullable=False),
        *(sa.Column(name, postgresql.ARRAY(sa.Double()), nullable=False) for name in ("expected", "low", "high")),
        sa.ForeignKeyConstraint(
            ["series_id"], ["series.id"], name=op.f("fk_forecasts_series_id_series"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("series_id", name=op.f("pk_forecasts")),
    )


def downgrade() -> None:
    for table in ("forecasts", "detector_choices", "anomaly_feedback"):
        op.drop_table(table)
