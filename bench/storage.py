"""How many bytes does a stored sample take, beside a row that has its name and labels with it?"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec

from bench import load, samples
from bench.figures import Figure
from bench.rounds import Say
from bench.samples import SamplesCase, Scrape
from bench.stack import BenchStack, Connection
from db import packing
from db.session import Database

NAME = "bytes_per_sample"
_PACKING_S = 600.0
_OURS = ("samples", "series", "series_progress")
# The design that suggests itself, with the indexes that samples are asked for by.
_LITERAL = (
    """
    CREATE TABLE literal_metrics (
        id bigserial PRIMARY KEY, metric_name text NOT NULL, metric_value double precision NOT NULL,
        labels jsonb NOT NULL, timestamp timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ON literal_metrics (metric_name, timestamp DESC)",
    "CREATE INDEX ON literal_metrics USING gin (labels)",
)
# Of a partitioned table only the partitions have a size; a plain one has none.
_SIZE = """
    SELECT sum(pg_total_relation_size(root) + coalesce(
        (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(root) WHERE relid <> root), 0))
    FROM unnest(%s::regclass[]) AS t (root)
    """


def measure(stack: BenchStack, count: int, say: Say) -> Figure:
    """So many samples of last week, sent to the API and copied, batch by batch in the same order, to the literal table.

    All of ours counts: partitions, index, series with their labels, and how far each is scored. Of the weeks that are
    kept all but one are over; so the figure is that of a week that house-keeping has packed, beside a literal table
    whose indexes were built anew as well. `fresh` and `literal_fresh` are the same before.
    """
    say(f"{NAME}: {count:,} samples, ours and as one row with labels each")
    case = SamplesCase(NAME, 500, samples.JSON, began=_last_week())
    scrapes = [scrape for turn in zip(*case.scrapes(count), strict=True) for scrape in turn]
    with stack.api.connect() as connection:
        connection.execute("TRUNCATE samples, series CASCADE")
        # The API must not know the series any more.
        connection.execute("UPDATE installation SET series_epoch = series_epoch + 1")
        burst = load.send(stack.api.target(case.path, case.headers), [scrapes], seconds=600)
        kept = case.kept(connection)
        for statement in _LITERAL:
            connection.execute(statement)
        for scrape in scrapes:
            _copy(connection, case.run, scrape)
        sent = sum(scrape.items for scrape in scrapes)
        # A GIN index puts off its work until then.
        connection.execute("VACUUM literal_metrics, samples, series, series_progress")
        fresh, literal_fresh = _size(connection, *_OURS) / kept, _size(connection, "literal_metrics") / sent
        say(f"{NAME}: packing")
        _pack(stack)
        connection.execute("REINDEX TABLE literal_metrics")
        ours, literal = _size(connection, *_OURS) / kept, _size(connection, "literal_metrics") / sent
        connection.execute("DROP TABLE literal_metrics")
    acknowledged = case.acknowledged(burst.answers)
    facts = {
        "ratio_to_literal": ours / literal,
        "literal": literal,
        "fresh": fresh,
        "literal_fresh": literal_fresh,
        "samples": kept,
        "lost": acknowledged - kept,
    }
    return Figure(NAME, ours, "B", facts)


def _last_week() -> int:
    now = datetime.now(UTC)
    monday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    return int((monday - timedelta(days=6)).timestamp())


def _pack(stack: BenchStack) -> None:
    database = Database(stack.plan.settings.require_database_url(), statement_timeout_ms=0)
    try:
        packing.pack(database, until=time.monotonic() + _PACKING_S)
    finally:
        database.close()


def _copy(connection: Connection, run: str, scrape: Scrape) -> None:
    statement = "COPY literal_metrics (metric_name, metric_value, labels, timestamp) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for number, at, value in scrape.rows:
            told = msgspec.json.encode(samples.labels(run, number)).decode()
            copy.write_row((samples.metric_name(number), value, told, samples.told(at)))


def _size(connection: Connection, *tables: str) -> float:
    row = connection.execute(_SIZE, (list(tables),)).fetchone()
    return float(row[0]) if row else 0.0
