"""The connection to PostgreSQL: a bounded pool, time limits, and transactions as `with` blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, PoolProxiedConnection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from db.direct import Direct, as_sqlalchemy_tells
from sensus import metrics, tracing
from sensus.errors import Unavailable

T = TypeVar("T")

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
    """One pool of connections.  Made after a fork: two processes on one connection read each other's replies.

    With `direct_url`, `url` is that of a pooler in transaction mode: each transaction may be on another connection to
    PostgreSQL. Then nothing is prepared, and the role has the limits that a connection would bring (see `db.cli`).
    """

    def __init__(
        self,
        url: str,
        *,
        direct_url: str | None = None,
        application: str = "sensus",
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        backoff_s: tuple[float, ...] = _BACKOFF_S,
        pool_wait_s: float = 5.0,
    ) -> None:
        self._backoff_s = backoff_s
        # For what outlives a transaction, such as a lock.
        self.unpooled = self
        if direct_url is not None:
            self.unpooled = Database(
                direct_url,
                application=application,
                statement_timeout_ms=statement_timeout_ms,
                backoff_s=backoff_s,
                pool_wait_s=pool_wait_s,
            )
        limits = {"options": f"-c statement_timeout={statement_timeout_ms} -c timezone=UTC"}
        self.engine: Engine = create_engine(
            url,
            pool_size=POOL_KEPT,
            max_overflow=POOL_MOST - POOL_KEPT,
            pool_recycle=CONNECTION_LIFE_S,
            pool_timeout=pool_wait_s,
            # What people wrote, and hashes of what they know, have no place in a log.
            hide_parameters=True,
            connect_args={
                "application_name": application,
                "connect_timeout": CONNECT_TIMEOUT_S,
                # What was sent and is not confirmed for so long means that the other side is gone.
                "tcp_user_timeout": STATEMENT_TIMEOUT_MS,
                **(limits if direct_url is None else {"prepare_threshold": None}),
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
        with _failures_told(), self._sessions() as session:
            self._connected(session.connection, session.rollback)
            with _committing(session):
                yield session

    @contextmanager
    def direct(self) -> Iterator[Direct]:
        """A connection for the statements of `db.direct`, for a third of what a session costs.

        What was begun is committed at the end of the block, and rolled back when it raises.
        Raises Unavailable as `transaction` does.
        """
        with _failures_told():
            pooled = self._connected(self._pooled)
            connection = Direct(pooled, lambda: self.engine.dispose(close=False))
            try:
                connection.driver.autocommit = True
                yield connection
                connection.driver.commit()
            except psycopg.Error as error:
                broken = connection.driver.broken
                raise as_sqlalchemy_tells(error, "COMMIT", broken=broken) from error
            finally:
                _hand_back(pooled, connection)

    def ping(self) -> str:
        """One round trip.  Raises when PostgreSQL is away."""
        with self.engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        return f"PostgreSQL {version}"

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()
        if self.unpooled is not self:
            self.unpooled.close()

    def _connected(self, connect: Callable[[], T], clear: Callable[[], object] = lambda: None) -> T:
        """What `connect` returns, after a few tries; `clear` is called after each that failed."""
        began = time.monotonic()
        for pause_s in self._backoff_s:
            try:
                return connect()
            except (OperationalError, InterfaceError) as error:
                clear()
                # A server that refuses is worth a few quick tries; one that lets us wait has had its time.
                too_late = time.monotonic() - began > CONNECT_TIMEOUT_S / 2
                if too_late or not is_connection_failure(error):
                    raise
                time.sleep(pause_s)
        return connect()

    def _pooled(self) -> PoolProxiedConnection:
        try:
            return self.engine.raw_connection()
        except psycopg.Error as error:
            raise as_sqlalchemy_tells(error, "", broken=True) from error


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("the database is busy; try again shortly") from error
    except DBAPIError as error:
        if is_connection_failure(error):
            raise Unavailable("the database is away; try again shortly") from error
        raise


def _hand_back(pooled: PoolProxiedConnection, connection: Direct) -> None:
    driver = connection.driver
    try:
        if not driver.closed:
            driver.rollback()
            driver.autocommit = False
    except psycopg.Error as error:
        connection.invalidate(error)
    finally:
        pooled.close()


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
        took_s = time.perf_counter() - began
        metrics.db_query_duration.labels(operation).observe(took_s)
        tracing.note_statement(operation, statement, took_s)
