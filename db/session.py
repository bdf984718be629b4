"""The connection to PostgreSQL: a bounded pool, time limits, and transactions as `with` blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from sensus import metrics
from sensus.errors import Unavailable

POOL_KEPT = 5
POOL_MOST = 25
CONNECTION_LIFE_S = 3600
STATEMENT_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 5
# How long after its last use a connection is used again unasked.
TRUSTED_S = 0.5
_RETURNED = "sensus_returned"
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0)


class Database:
    """One pool of connections.  Made after a fork: two processes on one connection read each other's replies."""

    def __init__(
        self,
        url: str,
        *,
        application: str = "sensus",
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        backoff_s: tuple[float, ...] = _BACKOFF_S,
        pool_wait_s: float = 5.0,
    ) -> None:
        self._backoff_s = backoff_s
        self.engine: Engine = create_engine(
            url,
            pool_size=POOL_KEPT,
            max_overflow=POOL_MOST - POOL_KEPT,
            pool_recycle=CONNECTION_LIFE_S,
            pool_timeout=pool_wait_s,
            connect_args={
                "application_name": application,
                "connect_timeout": CONNECT_TIMEOUT_S,
                # What was sent and is not confirmed for so long means that the other side is gone.
                "tcp_user_timeout": STATEMENT_TIMEOUT_MS,
                "options": f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC",
            },
        )
        event.listen(self.engine, "checkin", _note_return)
        event.listen(self.engine, "checkout", _ping_when_idle)
        event.listen(self.engine, "before_cursor_execute", _note_start)
        event.listen(self.engine, "after_cursor_execute", _observe)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end of the block, rolled back when it raises.

        Raises Unavailable when PostgreSQL is away, after a few tries to connect, and when it goes away in between.
        """
        with self._sessions() as session:
            try:
                self._connect(session)
                with _committing(session):
                    yield session
            except PoolTimeout as error:
                raise Unavailable("the database is busy; try again shortly") from error
            except DBAPIError as error:
                if is_connection_failure(error):
                    raise Unavailable("the database is away; try again shortly") from error
                raise

    def ping(self) -> str:
        """One round trip.  Raises when PostgreSQL is away."""
        with self.engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        return f"PostgreSQL {version}"

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    def _connect(self, session: Session) -> None:
        began = time.monotonic()
        for pause_s in (*self._backoff_s, None):
            try:
                session.connection()
                return
            except (OperationalError, InterfaceError) as error:
                session.rollback()
                # A server that refuses is worth a few quick tries; one that lets us wait has had its time.
                too_late = time.monotonic() - began > CONNECT_TIMEOUT_S / 2
                if pause_s is None or too_late or not is_connection_failure(error):
                    raise
                time.sleep(pause_s)


def is_connection_failure(error: DBAPIError) -> bool:
    """Whether the statement failed because the server could not be reached, or was going away."""
    if error.connection_invalidated:
        return True
    original = error.orig
    if isinstance(original, psycopg.Error) and original.sqlstate is not None:
        # 08: connection exceptions; 57P: the server is stopping or starting; 53300: too many connections.
        return original.sqlstate[:2] == "08" or original.sqlstate[:3] == "57P" or original.sqlstate == "53300"
    return isinstance(original, psycopg.OperationalError | psycopg.InterfaceError)


@contextmanager
def _committing(session: Session) -> Iterator[None]:
    try:
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise


def _note_return(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[_RETURNED] = time.monotonic()


def _ping_when_idle(connection: Any, record: ConnectionPoolEntry, _fairy: Any) -> None:
    """A connection that was at work a moment ago is taken to be alive; asking each time costs a round trip."""
    returned = record.info.get(_RETURNED)
    if returned is None or time.monotonic() - returned < TRUSTED_S:
        return
    try:
        connection.execute("")
        connection.rollback()
    except psycopg.Error as error:
        # With this the pool lets go of all its connections, and makes a new one for this caller.
        raise InvalidatePoolError("the connection was closed meanwhile") from error


def _note_start(
    _connection: Connection, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    if context is not None:
        context.sensus_began = time.perf_counter()


def _observe(
    _connection: Connection, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    began = getattr(context, "sensus_began", None)
    if began is not None:
        operation = statement.lstrip()[:8].split(None, 1)[0].lower()
        metrics.db_query_duration.labels(operation).observe(time.perf_counter() - began)
