"""Samples as senders batch them, and what PostgreSQL's COPY makes of the same rows."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from bench import copying
from bench.copying import Row
from bench.load import SENDERS, Answer, Request, Shards
from bench.stack import BenchStack, Connection

METRICS_AN_INSTANCE = 50
SCRAPE_EVERY_S = 5
_FASTEST = 250_000.0  # samples a second for which bodies are made ready
_AGO_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Scrape(Request):
    """One value of each series of a sender; `rows` are the same as a table has them."""

    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Wire:
    """A door for samples: where it is, what goes through it, and what an answer acknowledges."""

    path: str
    headers: Mapping[str, str]
    encode: Callable[[str, Sequence[Row]], bytes]  # of a run and rows
    acknowledged: Callable[[Answer], int]


@dataclass(slots=True)
class SamplesCase:
    """Samples, so many a request.  Each sender has series of its own, as each shard of Prometheus has."""

    name: str
    per_request: int
    wire: Wire
    unit: str = "samples/s"
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    began: int = field(default_factory=lambda: int(time.time()) - _AGO_S)
    _sent: int = 0
    _values: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def path(self) -> str:
        return self.wire.path

    @property
    def headers(self) -> Mapping[str, str]:
        return self.wire.headers

    def shards(self, seconds: float) -> Shards:
        return self.scrapes(math.ceil(seconds * _FASTEST))

    def scrapes(self, count: int) -> list[list[Scrape]]:
        """At least so many samples, the next ones in time, for each sender."""
        each = math.ceil(count / self.per_request / SENDERS)
        first, self._sent = self._sent, self._sent + each
        ats = [self.began + SCRAPE_EVERY_S * number for number in range(first, first + each)]
        return [[self._scrape(shard, at) for at in ats] for shard in range(SENDERS)]

    def acknowledged(self, answers: Sequence[Answer]) -> int:
        return sum(self.wire.acknowledged(answer) for answer in answers)

    def kept(self, connection: Connection) -> int:
        row = connection.execute(
            "SELECT count(*) FROM samples JOIN series ON series.id = samples.series_id "
            "WHERE series.labels @> jsonb_build_object('run', %s::text)",
            (self.run,),
        ).fetchone()
        return int(row[0]) if row else 0

    def empty(self, connection: Connection) -> None:
        connection.execute("TRUNCATE samples")

    def bare(self, stack: BenchStack, shards: Shards, seconds: float) -> dict[str, float]:
        # In the order in which the senders send: one scrape of each, then the next of each.
        batches = [
            request.rows for turn in zip(*shards, strict=True) for request in turn if isinstance(request, Scrape)
        ]
        with stack.api.connect() as connection:
            return copying.rates(connection, batches, seconds)

    def _scrape(self, shard: int, at: int) -> Scrape:
        numbers = range(shard * self.per_request, (shard + 1) * self.per_request)
        # As counters that grow by up to a thousand each time: a total that falls tells scoring nothing to compute with.
        least = 1000 * (at - self.began) // SCRAPE_EVERY_S
        rows = [(number, at, round(least + self._values.uniform(0, 1000), 2)) for number in numbers]
        return Scrape(self.wire.encode(self.run, rows), len(rows), rows)


def metric_name(number: int) -> str:
    """The name of a series by its number."""
    return f"node_metric_{number % METRICS_AN_INSTANCE}_seconds_total"


def labels(run: str, number: int) -> dict[str, str]:
    """Its labels, as an exporter on a machine has them, and a Prometheus that names its cluster and itself."""
    return {
        "cluster": "eu-west-1",
        "device": f"disk{number % 7}",
        "instance": f"node-{number // METRICS_AN_INSTANCE}:9100",
        "job": "node",
        "replica": "prometheus-0",
        "run": run,
    }


def told(at: int) -> str:
    """A moment as people write it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(run: str, rows: Sequence[Row]) -> bytes:
    moments = {at: told(at) for at in {at for _, at, _ in rows}}
    return msgspec.json.encode(
        [
            {
                "metric_name": metric_name(number),
                "metric_value": value,
                "labels": labels(run, number),
                "timestamp": moments[at],
            }
            for number, at, value in rows
        ]
    )


def _accepted(answer: Answer) -> int:
    return int(msgspec.json.decode(answer.body)["accepted"])


JSON = Wire("/api/v1/metrics", {"Content-Type": "application/json"}, _json, _accepted)
