"""Remember what an Alertmanager lists, so that an alert is resolved only by the one that can speak for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_listings",
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("listed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("listed_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_alert_listings_alert_id_alerts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alert_listings")),
    )
    op.create_table(
        "alertmanager_readings",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("failing_since", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_alertmanager_readings")),
    )
    # From now on a start that a webhook tells is cut to the millisecond, which is all that the list tells of it.
    # What fires across the upgrade must remain one episode.
    op.execute(
        """
        UPDATE alerts SET starts_at = date_trunc('milliseconds', starts_at)
        WHERE status <> 'resolved' AND extra -> 'webhook' ? 'externalURL'
          AND starts_at <> date_trunc('milliseconds', starts_at)
          AND NOT EXISTS (
            SELECT FROM alerts AS other
            WHERE other.fingerprint = alerts.fingerprint AND other.id <> alerts.id
              AND date_trunc('milliseconds', other.starts_at) = date_trunc('milliseconds', alerts.starts_at)
          )
        """
    )


def downgrade() -> None:
    op.drop_table("alertmanager_readings")
    op.drop_table("alert_listings")
