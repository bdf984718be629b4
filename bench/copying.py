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
    """Rows a second, committed batch by batch as an answer of ours is, and all in one COPY with one commit.

    The text is made ready before the clock starts.  The table is empty before and after.
    """
    blocks = [_text(batch) for batch in batches]
    size = len(batches[0])
    try:
        began, done = time.perf_counter(), 0
        for block in blocks:
            _copy(connection, [block])
            done += size
            if time.perf_counter() - began > seconds:
                break
        batchwise = done / (time.perf_counter() - began)
        connection.execute("TRUNCATE bare_samples")
        # The same rows again, so that both have as large an index to climb.
        began = time.perf_counter()
        _copy(connection, blocks[: done // size])
        return {"ratio_to_bare": batchwise, "ratio_to_one_copy": done / (time.perf_counter() - began)}
    finally:
        connection.execute("TRUNCATE bare_samples")


def _text(batch: Sequence[Row]) -> bytes:
    moments = {at: datetime.fromtimestamp(at, UTC).isoformat() for at in {at for _, at, _ in batch}}
    return "".join(f"{number}\t{moments[at]}\t{value}\n" for number, at, value in batch).encode()


def _copy(connection: Connection, blocks: Sequence[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for block in blocks:
            copy.write(block)
