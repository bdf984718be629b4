"""Put alerts and anomalies that belong together into incidents, of which each state is analysed once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_CHANGES = (
    "opened", "grown", "alert_joined", "alert_resolved", "alert_reopened", "anomaly_joined", "merged", "analysed",
    "acknowledged", "resolved", "reopened", "cause_confirmed", "notified",
)  # fmt: skip


def _moment(name: str, *, optional: bool = False, default: bool = True) -> sa.Column[object]:
    given = sa.text("now()") if default and not optional else None
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=optional, server_default=given)


def upgrade() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("severity", sa.Text(), nullable=True),
        _moment("opened_at", default=False),
        _moment("last_activity_at", default=False),
        _moment("resolved_at", optional=True),
        sa.Column("reopened", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _moment("acknowledged_at", optional=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledgement_note", sa.Text(), nullable=True),
        sa.Column("lead_alert_id", sa.BigInteger(), nullable=True),
        sa.Column("merged_into", sa.BigInteger(), nullable=True),
        sa.Column("labels", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("services", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("alert_names", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("state", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _moment("state_since"),
        _moment("changed_at"),
        sa.Column("analysed_state", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("suspects", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("suspects_state", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("confirmed_cause", sa.Text(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        _moment("confirmed_at", optional=True),
        sa.Column("search", postgresql.TSVECTOR(), nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("embedded_by", sa.Text(), nullable=True),
        _moment("created_at"),
        sa.CheckConstraint("status IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_incidents_status")),
        sa.ForeignKeyConstraint(
            ["lead_alert_id"], ["alerts.id"], name=op.f("fk_incidents_lead_alert_id_alerts"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["incidents.id"], name=op.f("fk_incidents_merged_into_incidents"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    for name, columns in {
        "idx_incidents_status": ["status", "id"],
        "idx_incidents_severity": ["severity", "id"],
        "idx_incidents_opened_at": ["opened_at", "id"],
        "idx_incidents_last_activity_at": ["last_activity_at"],
    }.items():
        op.create_index(name, "incidents", columns, unique=False)
    for column in ("services", "search"):
        op.create_index(f"idx_incidents_{column}", "incidents", [column], unique=False, postgresql_using="gin")
    op.create_index(
        "idx_incidents_unresolved", "incidents", ["id"], unique=False, postgresql_where=sa.text("status <> 'resolved'")
    )
    op.create_index(
        "idx_incidents_unanalysed",
        "incidents",
        ["id"],
        unique=False,
        postgresql_where=sa.text("analysed_state < state"),
    )
    # Without these a deleted alert would be looked for in the whole table.
    op.create_index("idx_incidents_lead_alert_id", "incidents", ["lead_alert_id"], unique=False)
    op.create_index("idx_incidents_merged_into", "incidents", ["merged_into"], unique=False)
    _members("incident_alerts", "alert_id", "alerts")
    _members("incident_anomalies", "result_id", "ai_analysis_results")
    op.create_table(
        "incident_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        _moment("at", default=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("facts", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        _moment("created_at"),
        sa.CheckConstraint(
            f"change IN ({', '.join(repr(change) for change in _CHANGES)})", name=op.f("ck_incident_history_change")
        ),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_history_incident_id_incidents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_history")),
    )
    op.create_index("idx_incident_history_incident_id", "incident_history", ["incident_id", "id"], unique=False)
    _of_results()
    _of_alerts()


def _members(table: str, key: str, of: str) -> None:
    op.create_table(
        table,
        sa.Column(key, sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.BigInteger(), nullable=False),
        _moment("joined_at"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("strength", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint([key], [f"{of}.id"], name=op.f(f"fk_{table}_{key}_{of}"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f(f"fk_{table}_incident_id_incidents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(key, name=op.f(f"pk_{table}")),
    )
    op.create_index(f"idx_{table}_incident_id", table, ["incident_id", key], unique=False)


def _of_results() -> None:
    results = "ai_analysis_results"
    op.add_column(results, sa.Column("incident_id", sa.BigInteger(), nullable=True))
    op.add_column(results, sa.Column("incident_state", sa.Integer(), nullable=True))
    # Anomalies of before open no incident now, and so are taken to have been looked at.
    op.add_column(results, sa.Column("grouped", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.alter_column(results, "grouped", server_default=sa.text("false"))
    # Not checked against the rows that are there: none has an incident, and they may be millions.
    op.execute(
        "ALTER TABLE ai_analysis_results ADD CONSTRAINT fk_ai_analysis_results_incident_id_incidents "
        "FOREIGN KEY (incident_id) REFERENCES incidents (id) ON DELETE CASCADE NOT VALID"
    )
    op.execute("ALTER TABLE ai_analysis_results VALIDATE CONSTRAINT fk_ai_analysis_results_incident_id_incidents")
    op.create_index(
        "idx_analysis_incident_id",
        results,
        ["incident_id", "id"],
        unique=False,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index(
        "uq_analysis_incident",
        results,
        ["incident_id", "incident_state"],
        unique=True,
        postgresql_where=sa.text("analysis_type = 'llm_analysis' AND automatic AND incident_id IS NOT NULL"),
    )
    op.create_index(
        "idx_analysis_ungrouped",
        results,
        ["id"],
        unique=False,
        postgresql_where=sa.text("analysis_type = 'anomaly_detection' AND NOT grouped"),
    )


def _of_alerts() -> None:
    op.create_table(
        "grouping_position",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_grouping_position_only_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grouping_position")),
    )
    op.create_table(
        "late_changes",
        sa.Column("history_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _moment("noted_at"),
        sa.PrimaryKeyConstraint("history_id", name=op.f("pk_late_changes")),
    )
    op.execute("INSERT INTO grouping_position (last_id) SELECT coalesce(max(id), 0) FROM alert_history")
    # What fires now is put into incidents as if it had just come; what is over stays as it is.
    op.execute(
        """
        INSERT INTO late_changes (history_id)
        SELECT max(h.id) FROM alert_history h JOIN alerts a ON a.id = h.alert_id
        WHERE a.status = 'firing' GROUP BY h.alert_id
        """
    )


def downgrade() -> None:
    op.drop_table("late_changes")
    op.drop_table("grouping_position")
    op.drop_column("ai_analysis_results", "grouped")
    op.drop_column("ai_analysis_results", "incident_state")
    op.drop_column("ai_analysis_results", "incident_id")
    for table in ("incident_history", "incident_anomalies", "incident_alerts", "incidents"):
        op.drop_table(table)
