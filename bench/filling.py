"""Makes a database as full as one of a site that has run for long, by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg

from bench import alerts, samples
from bench.rounds import Say
from bench.stack import Api, BenchStack, Connection
from sensus.runtime.postgres import ADMIN

SAMPLES_AN_ALERT = 5
_SAMPLES_A_SERIES = 1000
_FIRING = 50  # one alert in so many still fires
_TOLD_EVERY = 250_000
_SEQUENCES = ("alerts", "series")


def fill(stack: BenchStack, api: Api, count: int, say: Say) -> None:
    """So many alerts with their history and analysis, and five times as many samples that are scored already."""
    now = datetime.now(UTC).replace(microsecond=0)
    with api.connect() as connection, connection.transaction():
        _alerts(connection, count, now, say)
        _samples(connection, count * SAMPLES_AN_ALERT, now, say)
        for table in _SEQUENCES:
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")  # noqa: S608
        connection.execute("UPDATE grouping_position SET last_id = (SELECT max(id) FROM alert_history)")
    say("filled; vacuuming")
    with api.connect() as connection:
        connection.execute("VACUUM ANALYZE")
    # Otherwise the first rounds would pay for what was written here.
    with psycopg.connect(stack.admin_url, autocommit=True, dbname=ADMIN) as connection:
        connection.execute("CHECKPOINT")


def _alerts(connection: Connection, count: int, now: datetime, say: Say) -> None:
    run, life = "filled", timedelta(minutes=10)
    moments = [now - timedelta(seconds=60 * (count - number) // 30) for number in range(count)]
    _copy(
        connection,
        "alerts (id, fingerprint, alert_name, severity, labels, annotations, starts_at, ends_at, generator_url, "
        "status, last_received_at, created_at)",
        (_alert_row(run, number, at, life) for number, at in enumerate(moments)),
        count,
        say,
    )
    _copy(
        connection,
        "alert_history (alert_id, change, at, actor)",
        (
            (number + 1, change, at + life * place, "key:1")
            for number, at in enumerate(moments)
            for place, change in enumerate(("firing", "resolved") if number % _FIRING else ("firing",))
        ),
        2 * count,
        say,
    )
    _copy(
        connection,
        "ai_analysis_results (alert_id, analysis_type, status, outcome, automatic, created_at, finished_at)",
        ((n + 1, "llm_analysis", "done", "insufficient", True, at, at) for n, at in enumerate(moments)),
        count,
        say,
    )


def _alert_row(run: str, number: int, at: datetime, life: timedelta) -> Sequence[object]:
    told = alerts.alert(run, number, "")
    fires = number % _FIRING == 0
    return (
        number + 1,
        told["fingerprint"],
        told["labels"]["alertname"],
        told["labels"]["severity"],
        msgspec.json.encode(told["labels"]).decode(),
        msgspec.json.encode(told["annotations"]).decode(),
        at,
        None if fires else at + life,
        told["generatorURL"],
        "firing" if fires else "resolved",
        at,
        at,
    )


def _samples(connection: Connection, count: int, now: datetime, say: Say) -> None:
    each = min(_SAMPLES_A_SERIES, max(1, count // 10))
    series = range(1, count // each + 1)
    moments = [now - timedelta(minutes=each - number) for number in range(each)]
    _copy(
        connection,
        "series (id, metric_name, labels, digest)",
        (
            (n, samples.metric_name(n), msgspec.json.encode(samples.labels("filled", n)).decode(), f"\\x{n:064x}")
            for n in series
        ),
        len(series),
        say,
    )
    progress = ((number, moments[-1], moments[-1]) for number in series)
    _copy(connection, "series_progress (series_id, newest_at, scored_until)", progress, len(series), say)
    _copy(
        connection,
        "samples (series_id, timestamp, value)",
        ((number, at, (number * 7 + place) % 1000 / 10) for place, at in enumerate(moments) for number in series),
        len(series) * each,
        say,
    )


def _copy(connection: Connection, into: str, rows: Iterable[Sequence[object]], count: int, say: Say) -> None:
    table = into.partition(" ")[0]
    with connection.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for number, row in enumerate(rows, 1):
            copy.write_row(row)
            if number % _TOLD_EVERY == 0:
                say(f"filling {table}: {number:,} of {count:,}")
