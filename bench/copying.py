"""How fast does PostgreSQL itself take these samples?  One connection, COPY, a table laid out as `samples` is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.stack import Connection

Row = tuple[int, int, float]  # series, seconds after 1970, value

_COPY = "COPY bare_samples (series_id, timestamp, value) FROM STDIN"
_PARTITIONS = """
    SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'samples'::regclass
    """
_INDEXES = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'samples'::regclass"


def make_table(connection: Connection) -> None:
    """An empty table with the columns, the partitions and the indexes of `samples`, whatever these are."""
    connection.execute("CREATE TABLE bare_samples (LIKE samples) PARTITION BY RANGE (timestamp)")
    for name, bounds in connection.execute(_PARTITIONS).fetchall():
        connection.execute(f"CREATE TABLE bare_{name} PARTITION OF bare_samples {bounds}")
    for (definition,) in connection.execute(_INDEXES).fetchall():
        _, _, columns = definition.partition(" USING ")
        unique = "UNIQUE" if " UNIQUE " in definition else ""
        connection.execute(f"CREATE {unique} INDEX ON bare_samples USING {columns}")


def rates(connection: Connection, batches: Sequence[Sequence[Row]], seconds: float) -> dict[str, float]:
    """Rows a second by three ways of copying; the table is empty before and after.

    `ratio_to_bare`: text made ready before the clock starts, committed batch by batch as an answer of ours is.
    `ratio_to_copied_rows`: the same, but psycopg makes the text of Python's values, as a program would have it.
    `ratio_to_one_copy`: text made ready, all in one COPY with one commit, after which nothing before it is kept.
    """
    blocks = [_text(batch) for batch in batches]
    rows = [[(series, datetime.fromtimestamp(at, UTC), value) for series, at, value in batch] for batch in batches]
    size = len(batches[0])
    try:
        began, done = time.perf_counter(), 0
        for block in blocks:
            _copy(connection, [block])
            done += 1
            if time.perf_counter() - began > seconds:
                break
        batchwise = done * size / (time.perf_counter() - began)
        # The same again, so that each has as large an index to climb.
        connection.execute("TRUNCATE bare_samples")
        began = time.perf_counter()
        _copy(connection, blocks[:done])
        at_once = done * size / (time.perf_counter() - began)
        connection.execute("TRUNCATE bare_samples")
        began = time.perf_counter()
        for batch in rows[:done]:
            _copy_rows(connection, batch)
        row_by_row = done * size / (time.perf_counter() - began)
        return {"ratio_to_bare": batchwise, "ratio_to_copied_rows": row_by_row, "ratio_to_one_copy": at_once}
    finally:
        connection.execute("TRUNCATE bare_samples")


def _text(batch: Sequence[Row]) -> bytes:
    moments = {at: datetime.fromtimestamp(at, UTC).isoformat() for at in {at for _, at, _ in batch}}
    return "".join(f"{number}\t{moments[at]}\t{value}\n" for number, at, value in batch).encode()


def _copy(connection: Connection, blocks: Sequence[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for block in blocks:
            copy.write(block)


def _copy_rows(connection: Connection, batch: Sequence[tuple[int, datetime, float]]) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in batch:
            copy.write_row(row)
