"""Samples as senders batch them, and what PostgreSQL's COPY makes of the same rows."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from bench import copying
from bench.cases import Connection
from bench.copying import Row
from bench.load import SENDERS, Answer, Request, Shards
from bench.stack import BenchStack

METRICS_AN_INSTANCE = 50
SCRAPE_EVERY_S = 5
_FASTEST = 250_000.0  # samples a second for which bodies are made ready
_AGO_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Scrape(Request):
    """One value of each series of a sender; `rows` are the same as a table has them."""

    rows: Sequence[Row]


@dataclass(slots=True)
class JsonSamplesCase:
    """Samples as JSON lists.  Each sender has series of its own, as each shard of Prometheus has."""

    name: str
    per_request: int
    unit: str = "samples/s"
    path: str = "/api/v1/metrics"
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    _began: int = field(default_factory=lambda: int(time.time()) - _AGO_S)
    _sent: int = 0
    _values: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Content-Type": "application/json"}

    def shards(self, seconds: float) -> Shards:
        each = math.ceil(seconds * _FASTEST / self.per_request / SENDERS)
        first, self._sent = self._sent, self._sent + each
        ats = [self._began + SCRAPE_EVERY_S * number for number in range(first, first + each)]
        return [[self._scrape(shard, at) for at in ats] for shard in range(SENDERS)]

    def acknowledged(self, answers: Sequence[Answer]) -> int:
        return sum(msgspec.json.decode(answer.body)["accepted"] for answer in answers)

    def kept(self, connection: Connection) -> int:
        row = connection.execute(
            "SELECT count(*) FROM samples JOIN series ON series.id = samples.series_id "
            "WHERE series.labels @> jsonb_build_object('run', %s::text)",
            (self.run,),
        ).fetchone()
        return int(row[0]) if row else 0

    def bare(self, stack: BenchStack, shards: Shards, seconds: float) -> dict[str, float]:
        batches = [scrape.rows for shard in zip(*shards, strict=True) for scrape in shard if isinstance(scrape, Scrape)]
        with stack.api.connect() as connection:
            return copying.rates(connection, batches, seconds)

    def _scrape(self, shard: int, at: int) -> Scrape:
        numbers = range(shard * self.per_request, (shard + 1) * self.per_request)
        values = [round(self._values.uniform(0, 1000), 2) for _ in numbers]
        told = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [(number, told, value) for number, value in zip(numbers, values, strict=True)]
        return Scrape(self._encode(rows), len(rows), rows)

    def _encode(self, rows: Sequence[Row]) -> bytes:
        return msgspec.json.encode(
            [
                {
                    "metric_name": metric_name(number),
                    "metric_value": value,
                    "labels": labels(self.run, number),
                    "timestamp": told,
                }
                for number, told, value in rows
            ]
        )


def metric_name(number: int) -> str:
    """The name of a series by its number."""
    return f"node_metric_{number % METRICS_AN_INSTANCE}_seconds_total"


def labels(run: str, number: int) -> dict[str, str]:
    """Its labels, as an exporter on a machine has them."""
    return {
        "device": f"disk{number % 7}",
        "instance": f"node-{number // METRICS_AN_INSTANCE}:9100",
        "job": "node",
        "run": run,
    }
