"""Counters are judged by their growth: of what is remembered, expected and told it is known whether it is per second.

What is remembered of counters until now is of their totals, so those series begin anew at their next sample.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TABLES = ("series_progress", "forecasts", "anomaly_alerts")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("per_second", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "per_second")
