"""Statements on the path of every request, run by psycopg itself: SQLAlchemy's layers cost more than they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import TupleRow
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db import binary
from sensus import metrics, tracing

# The SQLSTATE of a row that is there already.
DUPLICATE = "23505"
Driver = psycopg.Connection[TupleRow]


class Direct:
    """A connection of the pool without a session around it; `Database.direct` opens one.

    Each statement is a transaction of its own, unless `begin` was called before.
    """

    def __init__(self, pooled: PoolProxiedConnection, forget_others: Callable[[], None]) -> None:
        self.driver = cast(Driver, pooled.driver_connection)
        self._pooled = pooled
        self._forget_others = forget_others
        self._begins = False

    def begin(self) -> None:
        """Let what follows be one transaction.  It is begun with the first statement: one way there and back less."""
        self._begins = True

    def beginning(self) -> str:
        """What the next statements must be preceded by."""
        before, self._begins = "BEGIN; " * self._begins, False
        return before

    def invalidate(self, error: BaseException) -> None:
        """Throw the connection away, and the others to the same server too."""
        self._pooled.invalidate(error)
        self._forget_others()


Within = Session | Direct


def execute(within: Within, statement: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[TupleRow]:
    """Run a statement, prepared at its first use on a connection.

    Parameters are `%(name)s` as psycopg takes them.  Raises what SQLAlchemy would raise: DBAPIError and its kinds.
    """
    with _observed(within, statement) as (driver, beginning):
        if beginning:
            driver.execute(beginning)
        return driver.execute(statement, parameters, prepare=True)


def execute_all(within: Within, statements: str) -> list[TupleRow | None]:
    """Run statements without parameters in one round trip; of each the first row."""
    with _observed(within, statements) as (driver, beginning):
        cursor = driver.execute(beginning + statements)
        rows = [_first_row(cursor)]
        while cursor.nextset():
            rows.append(_first_row(cursor))
    return rows[beginning.count(";") :]


def copy(within: Within, statement: str, data: bytes) -> None:
    """Run a COPY ... FROM STDIN with this as its input."""
    with (
        _observed(within, statement) as (driver, beginning),
        driver.cursor() as cursor,
    ):
        if beginning:
            driver.execute(beginning)
        with cursor.copy(statement) as taken:
            taken.write(data)


def array(numbers: Iterable[float]) -> str:
    """The text of an array of numbers: `repr` is exact, and quicker than what psycopg does for each element."""
    return "{" + ",".join(map(repr, numbers)) + "}"


class Bigints(bytes):
    """An array of bigint as PostgreSQL takes it: for thousands of numbers, quicker than text on both sides."""

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Self:
        """The array of these numbers.  Raises struct.error for one that is too large."""
        return cls(binary.bigints(numbers))


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = psycopg.postgres.types["int8"].array_oid

    def dump(self, obj: Bigints) -> bytes:
        return obj


psycopg.adapters.register_dumper(Bigints, _BigintsDumper)


def as_sqlalchemy_tells(error: psycopg.Error, statement: str, *, broken: bool) -> DBAPIError:
    """The error as SQLAlchemy would raise it."""
    told = DBAPIError.instance(
        statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=broken
    )
    return cast(DBAPIError, told)


_observer = metrics.db_query_duration.labels("direct")


@contextmanager
def _observed(within: Within, statement: str) -> Iterator[tuple[Driver, str]]:
    if isinstance(within, Direct):
        driver, beginning = within.driver, within.beginning()
    else:
        driver, beginning = cast(Driver, within.connection().connection.driver_connection), ""
    began = time.perf_counter()
    try:
        yield driver, beginning
    except psycopg.Error as error:
        broken = driver.broken
        if broken:
            _invalidate(within, error)
        raise as_sqlalchemy_tells(error, statement, broken=broken) from error
    took_s = time.perf_counter() - began
    _observer.observe(took_s)
    tracing.note_statement("direct", statement, took_s)


def _invalidate(within: Within, error: psycopg.Error) -> None:
    # The other connections were made to the same server, and are as dead as this one.
    if isinstance(within, Direct):
        within.invalidate(error)
        return
    connection = within.connection()
    connection.invalidate(error)
    connection.engine.dispose(close=False)


def _first_row(cursor: psycopg.Cursor[TupleRow]) -> TupleRow | None:
    return cursor.fetchone() if cursor.description else None
