"""May dashboards read?  The role that they read with, and its right to the views that there are now."""

from __future__ import annotations

from typing import cast

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.direct import Driver
from db.session import Database
from sensus.errors import ConfigurationError
from sensus.reporting import ROLE, SCHEMA, STATEMENTS

# Two that grant at once get an error in place of a turn.
_LOCK = 0x53656E73_0021


def ensure(database: Database, password: str | None) -> None:
    """Make the role when a password is given, and let it read every view of the schema.

    Without a password this is done for a role that somebody else made. Raises ConfigurationError when the owner of the
    database may not make one.
    """
    with database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        exists, may_make = session.execute(_WHO, {"role": ROLE}).one()
        if password is not None and may_make:
            _make(session, password)
        elif password is not None and not exists:
            raise ConfigurationError(
                f"the database's owner may not make roles; let a superuser run: CREATE ROLE {ROLE} LOGIN PASSWORD ..."
            )
        if exists or password is not None:
            session.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {ROLE}"))
            session.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {ROLE}"))


def _make(session: Session, password: str) -> None:
    for statement in STATEMENTS:
        session.execute(text(statement))
    driver = cast(Driver, session.connection().connection.driver_connection)
    # Encrypted here, since a statement may stand in the log of the server.
    secret = driver.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256")
    driver.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(secret.decode())))


_WHO = text(
    """
    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role),
        (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
    """
)
