"""How Alembic runs a migration: one at a time, and never waiting long for a lock that the product holds."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

import db.models  # noqa: F401  (fills the metadata)
from db.base import Base

# Any number will do, as long as it is ours: "sensus" in ASCII.
LOCK = 0x73656E737573
LOCK_TIMEOUT = "10s"
STATEMENT_TIMEOUT = "10min"


def include(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
    """Leave out what exists in the database only: the partitions and their indexes."""
    return not (name is not None and kind in ("table", "index") and "_p2" in name)


def migrate(connection: Connection) -> None:
    """Run what was asked for, under an advisory lock, so that two starters do not both migrate."""
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    try:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_object=include,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
        connection.commit()


migrate(context.config.attributes["connection"])
