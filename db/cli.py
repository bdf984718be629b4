"""`sensus db`: bring the tables to this release, and say whether they are."""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db import reporting
from db.queries import partitions
from db.session import STATEMENT_TIMEOUT_MS, Database, is_connection_failure
from sensus import settings
from sensus.errors import ConfigurationError

MIGRATIONS = Path(__file__).parent / "migrations"
# A migration may wait for the lock of another starter, and run long; env.py sets its own limits.
_NO_TIMEOUT = 0
_LOOK_EVERY_S = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    """`upgrade`, `check`, `wait`, and for developers `revision`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("upgrade", help="bring the tables to this release")
    actions.add_parser("check", help="say whether the tables are those of this release")
    actions.add_parser("wait", help="return when the tables are those of this release or of a later one")
    revision = actions.add_parser("revision", help="write a new migration from the difference to the models")
    revision.add_argument("-m", "--message", required=True, help="the reason, one sentence")


def run(arguments: argparse.Namespace) -> int:
    """Do what `sensus db ACTION` asks."""
    current = settings.of_running_stack(settings.load())
    database = Database(current.require_unpooled_url(), application="sensus-db", statement_timeout_ms=_NO_TIMEOUT)
    try:
        if arguments.action == "upgrade":
            print(f"database is at {upgrade(database, current)}")
        elif arguments.action == "check":
            print(f"database is at {check(database)}, as this release needs")
        elif arguments.action == "wait":
            wait(database)
        else:
            with database.engine.connect() as connection:
                command.revision(_config(connection), message=arguments.message, autogenerate=True)
    finally:
        database.close()
    return 0


def prepare(current: settings.Settings) -> str:
    """What `sensus up` does before any process of ours starts; returns the revision reached."""
    database = Database(current.require_unpooled_url(), application="sensus-db", statement_timeout_ms=_NO_TIMEOUT)
    try:
        return upgrade(database, current)
    finally:
        database.close()


def upgrade(database: Database, current: settings.Settings) -> str:
    """Bring the tables to this release, make the partitions of today, and let dashboards read; the revision reached."""
    with database.engine.connect() as connection:
        command.upgrade(_config(connection), "head")
    if current.database_direct_url is not None:
        _limit_role(database)
    with database.transaction() as session:
        partitions.make(session, sample_days=current.retention_days)
    password = current.reporting_password
    reporting.ensure(database, None if password is None else password.get_secret_value())
    return check(database)


def _limit_role(database: Database) -> None:
    """What a connection of ours asks for when it is made does not get through a pooler: the role has it by itself."""
    with database.transaction() as session:
        name = session.scalar(text("SELECT quote_ident(current_database())"))
        for limit in (f"statement_timeout = {STATEMENT_TIMEOUT_MS}", "timezone = 'UTC'"):
            session.execute(text(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET {limit}"))


def check(database: Database) -> str:
    """The revision of the tables.  Raises ConfigurationError when this release needs another, or columns differ."""
    with database.engine.connect() as connection:
        config = _config(connection)
        there = MigrationContext.configure(connection).get_current_revision()
        needed = ScriptDirectory.from_config(config).get_current_head()
        if there != needed:
            raise ConfigurationError(
                f"the database is at {there or 'no revision'}, this release needs {needed}: run `sensus db upgrade`"
            )
        connection.rollback()
        command.check(config)
    return str(there)


def tables_suffice(database: Database) -> bool:
    """Whether the tables are those of this release or of a later one; cheap enough for a readiness probe.

    A migration suits the release before it too, and that one still serves while the next comes up.
    """
    with database.engine.connect() as connection:
        there = MigrationContext.configure(connection).get_current_revision()
    needed = ScriptDirectory.from_config(_config()).get_current_head()
    # Revisions are numbers of four digits, in one line.
    return there is not None and needed is not None and there >= needed


def wait(database: Database) -> None:
    """Return when the tables suffice; a database that is away, or empty, is waited for."""
    told = ""
    while True:
        try:
            if tables_suffice(database):
                return
            reason = "the tables are not yet those of this release"
        except DBAPIError as error:
            if not is_connection_failure(error):
                raise
            reason = "the database is away"
        if reason != told:
            print(f"waiting: {reason}", flush=True)
            told = reason
        time.sleep(_LOOK_EVERY_S)


def _config(connection: Connection | None = None) -> Config:
    # What Alembic says of its checks is for developers; `sensus db check` has its own line.
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
