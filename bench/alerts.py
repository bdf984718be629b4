"""Webhooks as Alertmanager sends them, and what keeps the same alerts with nothing around it."""

from __future__ import annotations

import hashlib
import itertools
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench import bare, load
from bench.load import SENDERS, Answer, Request, Shards, Target
from bench.stack import BenchStack, Connection

HEADERS = {"Content-Type": "application/json", "User-Agent": "Alertmanager/0.28.1"}
REPEATED_SERIES = 500
# Requests a second for which bodies are made ready: one of 1 alert, one more for each further alert.
_FASTEST = 2_000.0
_FASTEST_ALERTS = 40_000.0


@dataclass(slots=True)
class AlertsCase:
    """Alerts, so many a webhook; `repeated` ones are the same few hundred again and again."""

    name: str
    per_webhook: int
    repeated: bool = False
    unit: str = "alerts/s"
    path: str = "/api/v1/alerts"
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])
    _began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def headers(self) -> Mapping[str, str]:
        return HEADERS

    def shards(self, seconds: float) -> Shards:
        rate = min(_FASTEST, _FASTEST_ALERTS / self.per_webhook)
        each = math.ceil(seconds * rate / SENDERS)
        return [[self.request() for _ in range(each)] for _ in range(SENDERS)]

    def acknowledged(self, answers: Sequence[Answer]) -> int:
        return sum(msgspec.json.decode(answer.body)["accepted"] for answer in answers)

    def kept(self, connection: Connection) -> int:
        # A repeat is kept as one more in its row's count.
        what = "coalesce(sum(times_received), 0)" if self.repeated else "count(*)"
        row = connection.execute(
            f"SELECT {what} FROM alerts WHERE labels @> jsonb_build_object('run', %s::text)",  # noqa: S608
            (self.run,),
        ).fetchone()
        return int(row[0]) if row else 0

    def empty(self, connection: Connection) -> None:
        connection.execute("TRUNCATE alerts CASCADE")

    def bare(self, stack: BenchStack, shards: Shards, seconds: float) -> dict[str, float]:
        return {
            "ratio_to_bare": self._bare(stack, bare.LIKE_OURS, shards, seconds),
            "ratio_to_plain_table": self._bare(stack, bare.PLAIN, shards, seconds),
        }

    def _bare(self, stack: BenchStack, path: str, shards: Shards, seconds: float) -> float:
        burst = load.send(Target(stack.bare_port, path, self.headers), shards, seconds=seconds)
        with stack.api.connect() as connection:
            connection.execute(bare.EMPTY)
        return burst.items / burst.seconds

    def request(self) -> Request:
        """The next webhook."""
        numbers = itertools.islice(self._numbers, self.per_webhook)
        alerts = [alert(self.run, n % REPEATED_SERIES if self.repeated else n, self._began) for n in numbers]
        return Request(webhook(alerts, self.run), len(alerts))


def alert(run: str, number: int, began: str) -> dict[str, Any]:
    """A firing alert, with as many labels as alerts of real sites have; the number makes it a series of its own."""
    labels = {
        "alertname": f"HighLatency{number % 20}",
        "cluster": "eu-1",
        "environment": "production",
        "instance": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:9100",
        "job": "node",
        "namespace": f"team-{number % 40}",
        "run": run,
        "service": f"service-{number % 200}",
        "severity": ("critical", "warning")[number % 2],
    }
    return {
        "status": "firing",
        "labels": labels,
        "annotations": {
            "description": "The 99th percentile over the last 5 minutes is above the objective of 2 s.",
            "runbook_url": f"https://runbooks.example/{number % 20}",
            "summary": f"p99 latency of service-{number % 200} is above 2 s",
        },
        "startsAt": began,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up&g0.tab=1",
        "fingerprint": fingerprint(run, number),
    }


def fingerprint(run: str, number: int) -> str:
    """16 hexadecimal digits that lie anywhere, as those of Prometheus do."""
    return hashlib.blake2b(f"{run}:{number}".encode(), digest_size=8).hexdigest()


def webhook(alerts: Sequence[Mapping[str, Any]], run: str) -> bytes:
    """The body of one webhook, version 4."""
    return msgspec.json.encode(
        {
            "receiver": "sensus",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {"job": "node"},
            "commonLabels": {"job": "node", "run": run},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "version": "4",
            "groupKey": '{}:{job="node"}',
            "truncatedAlerts": 0,
        }
    )
