"""Packs the weeks that are over: their index is built anew without gaps, and their rows are frozen.

An index that grows at many places at once is half empty. Nearly all that is stored lies in weeks that are over, into
which hardly anything is written any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from sqlalchemy.exc import DBAPIError

from db import direct
from db.direct import Direct
from db.models.sample import samples, scores
from db.queries import partitions
from db.session import Database
from sensus import logs, times

log = logs.get_logger(__name__)

# A sample may be ten minutes ahead, and a sender an hour behind.
_SETTLED = timedelta(hours=2)
_WEEK = timedelta(days=7)
# For the end of transactions that began before, and that ours have long before this.
_LOCK_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class _Loose:
    """A partition whose index was not packed yet."""

    table: str
    index: str


def pack(database: Database, *, until: float) -> list[str]:
    """Pack each week that is over, once; names of the partitions.  No other one is begun after monotonic `until`.

    Readers and writers go on meanwhile. One that some transaction keeps from being packed is tried again next time;
    one that takes longer than all the time that is left stays as it is for good.
    """
    database = database.unpooled
    _remove_remains(database)
    packed = []
    for loose in _loose(database):
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        with database.direct() as connection, _limits(connection, left_s):
            if _pack(connection, loose):
                packed.append(loose.table)
    return packed


def _remove_remains(database: Database) -> None:
    """What is left of an index that could not be finished."""
    with database.transaction() as session:
        names = [name for (name,) in direct.execute(session, _REMAINS, {})]
    for name in names:
        with database.direct() as connection, _limits(connection, _LOCK_WAIT_S):
            try:
                direct.execute_all(connection, f"DROP INDEX CONCURRENTLY {name}")
            except DBAPIError as error:
                log.warning("index_not_removed", index=name, error=type(error.orig).__name__)


def _loose(database: Database) -> list[_Loose]:
    with database.transaction() as session:
        over = {
            name
            for table in (samples, scores)
            for name, monday in partitions.existing(session, table)
            if _is_over(monday)
        }
        rows = direct.execute(session, _INDEXES, {"tables": sorted(over)}).fetchall()
    return [_Loose(table, index) for table, index in rows]


def _is_over(monday: date) -> bool:
    return datetime.combine(monday, datetime.min.time(), UTC) + _WEEK + _SETTLED < times.now()


@contextmanager
def _limits(connection: Direct, statement_s: float) -> Iterator[None]:
    direct.execute_all(
        connection,
        f"SET statement_timeout = {round(statement_s * 1000) + 1}; SET lock_timeout = {round(_LOCK_WAIT_S * 1000)}",
    )
    try:
        yield
    finally:
        direct.execute_all(connection, "RESET statement_timeout; RESET lock_timeout")


def _pack(connection: Direct, loose: _Loose) -> bool:
    # Names come from the catalogue, and there from a date of ours.
    try:
        # This is how it is known what is packed, or was tried.
        direct.execute_all(connection, f"ALTER INDEX {loose.index} SET (fillfactor = 100)")
        direct.execute_all(connection, f"REINDEX INDEX CONCURRENTLY {loose.index}")
        direct.execute_all(connection, f"VACUUM (FREEZE) {loose.table}")
    except DBAPIError as error:
        log.warning("partition_not_packed", table=loose.table, error=type(error.orig).__name__)
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            direct.execute_all(connection, f"ALTER INDEX {loose.index} RESET (fillfactor)")
        return False
    return True


_INDEXES = """
    SELECT of_table.relname, of_index.relname
    FROM pg_index JOIN pg_class of_index ON of_index.oid = indexrelid JOIN pg_class of_table ON of_table.oid = indrelid
    WHERE of_table.relname = ANY(%(tables)s::text[])
        AND NOT 'fillfactor=100' = ANY(COALESCE(of_index.reloptions, '{}')) AND pg_relation_size(indrelid) > 0
    ORDER BY of_table.relname
    """
_REMAINS = """
    SELECT of_index.relname
    FROM pg_index JOIN pg_class of_index ON of_index.oid = indexrelid JOIN pg_class of_table ON of_table.oid = indrelid
    WHERE NOT indisvalid AND of_index.relname LIKE '%%\\_ccnew%%' AND of_table.relname ~ '^(samples|scores)_p[0-9]+$'
    """
