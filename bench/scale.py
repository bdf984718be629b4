"""`sensus bench scale`: how much more do more processes do, and what is full first?"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import redis

from bench import cpu, filling, load, samples
from bench.alerts import AlertsCase
from bench.cases import Case
from bench.figures import Figure
from bench.load import Shards
from bench.rounds import Say
from bench.samples import SamplesCase
from bench.stack import Api, BenchStack, Connection
from sensus.errors import Unavailable
from sensus.runtime import ports
from sensus.runtime.names import SERVERS
from sensus.runtime.processes import ProcessSpec, Stack, process_table

PROCESSES = (1, 2, 4, 8)
SCORED, ALERTS = "samples_scored", "alerts_50"
FILLED = "_filled"  # what a name ends in when it was measured on the filled database
_QUEUE, _ASIDE = "anomaly", "bench-aside"
_WORKER = "worker-anomaly"
# The API sends messages off the request's path, at most one each tenth of a second.
_KNOCKS_S = 0.5
_LOOK_S = 0.02
_SCORED_WITHIN_S = 120.0
_STOP_WITHIN_S = 15.0
_ALL_SCORED = """
    SELECT NOT EXISTS (SELECT FROM sample_arrivals)
    AND NOT EXISTS (SELECT FROM series_progress WHERE scored_until IS NULL OR newest_at > scored_until)
    """
_COUNT_SCORES = """
    SELECT count(*) FROM scores JOIN series ON series.id = scores.series_id
    WHERE series.labels @> jsonb_build_object('run', %s::text)
    """


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    processes: Sequence[int]
    rounds: int  # each with all numbers of processes in turn, so that noise of the machine hits all of them
    to_score: int  # samples that wait when the workers begin
    seconds: float  # of sending alerts
    filled: int  # alerts of the second database; 0 leaves it out


@dataclass(frozen=True, slots=True)
class _Measured:
    """One measurement."""

    rate: float
    lost: int
    app: float  # CPU seconds a second of each part
    database: float
    redis: float
    connections: int


def measure(stack: BenchStack, extent: Extent, say: Say) -> Iterator[Figure]:
    """Samples scored a second and alerts stored a second, by the number of processes that do it."""
    yield from _on(stack, stack.api, extent, say)
    if stack.filled is not None:
        filling.fill(stack, stack.filled, extent.filled, say)
        yield from _on(stack, stack.filled, extent, say)


def _on(stack: BenchStack, api: Api, extent: Extent, say: Say) -> Iterator[Figure]:
    suffix, stored_alerts = (FILLED, extent.filled) if api is stack.filled else ("", 0)
    scored: dict[int, list[_Measured]] = {count: [] for count in extent.processes}
    stored: dict[int, list[_Measured]] = {count: [] for count in extent.processes}
    case, alerts = SamplesCase(SCORED, 500, samples.JSON), AlertsCase(ALERTS, 50)
    say("warming up: each series has its first samples")
    _score(stack, api, case, 1, extent.to_score)
    for number in range(extent.rounds):
        for count in extent.processes:
            scored[count].append(_score(stack, api, case, count, extent.to_score))
            stored[count].append(_store(stack, api, alerts, count, extent.seconds))
            told = f"{scored[count][-1].rate:,.0f} samples scored/s, {stored[count][-1].rate:,.0f} alerts/s"
            say(f"round {number + 1} of {extent.rounds}, {count} processes: {told}")
    for name, unit, found in ((SCORED, "samples/s", scored), (ALERTS, "alerts/s", stored)):
        first = _rate(found[extent.processes[0]])
        for count, measured in found.items():
            facts = {"processes": count, "stored_alerts": stored_alerts, "ratio_to_first": _rate(measured) / first}
            yield Figure(f"{name}{suffix}", _rate(measured), unit, {**facts, **_facts(measured)})


def _rate(measured: Sequence[_Measured]) -> float:
    return median(each.rate for each in measured)


def _facts(measured: Sequence[_Measured]) -> dict[str, Any]:
    return {
        "least": min(each.rate for each in measured),
        "most": max(each.rate for each in measured),
        "lost": sum(each.lost for each in measured),
        "app_cpus": median(each.app for each in measured),
        "database_cpus": median(each.database for each in measured),
        "redis_cpus": median(each.redis for each in measured),
        "cpus": os.cpu_count(),
        "connections": max(each.connections for each in measured),
    }


def _score(stack: BenchStack, api: Api, case: SamplesCase, processes: int, count: int) -> _Measured:
    """Let samples wait, with their messages; then let a worker of so many processes have them."""
    with redis.Redis.from_url(stack.plan.settings.require_redis_url()) as broker, api.connect() as connection:
        before = _scores(connection, case.run)
        burst = load.send(api.target(case.path, case.headers), case.scrapes(count), seconds=_SCORED_WITHIN_S)
        time.sleep(_KNOCKS_S)
        broker.rename(_QUEUE, _ASIDE)
        with _running(_worker(stack, api, processes)) as pid:
            meter = _Meter(stack, pid, connection)
            broker.rename(_ASIDE, _QUEUE)
            _await_scored(connection)
            took = meter.read()
        acknowledged = case.acknowledged(burst.answers)
        lost = acknowledged - (_scores(connection, case.run) - before)
        broker.delete(_QUEUE)
    return took.measured(acknowledged, lost)


def _store(stack: BenchStack, api: Api, case: Case, processes: int, seconds: float) -> _Measured:
    """Send alerts to an API of so many processes."""
    port = ports.choose(0, "an API to be measured")
    environment = {**stack.plan.stack.environment, "SENSUS_DATABASE_URL": api.database_url}
    serving = replace(stack.plan.stack, port=port, web_workers=processes, environment=environment)
    target = replace(api, port=port).target(case.path, case.headers)
    with _running(_spec(serving, "web")) as pid, api.connect() as connection:
        before = case.kept(connection)
        warm = load.send(target, case.shards(1.0), seconds=1.0)
        shards: Shards = case.shards(seconds)
        meter = _Meter(stack, pid, connection)
        burst = load.send(target, shards, seconds=seconds)
        took = meter.read()
        acknowledged = case.acknowledged([*warm.answers, *burst.answers])
        lost = acknowledged - (case.kept(connection) - before)
    return took.measured(burst.items, lost)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was spent between two looks."""

    seconds: float
    spent: Sequence[float]  # CPU seconds of the app, PostgreSQL and Redis
    connections: int

    def measured(self, items: int, lost: int) -> _Measured:
        app, database, redis_cpu = (part / self.seconds for part in self.spent)
        return _Measured(items / self.seconds, lost, app, database, redis_cpu, self.connections)


class _Meter:
    """Reads the clock and the CPU time of a program and of the servers."""

    def __init__(self, stack: BenchStack, pid: int, connection: Connection) -> None:
        self._pids = (pid, *(stack.supervisor.pids[name] for name in SERVERS))
        self._connection = connection
        self._spent = [cpu.seconds_of(each) for each in self._pids]
        self._began = time.perf_counter()

    def read(self) -> _Reading:
        """Since this was made."""
        seconds = time.perf_counter() - self._began
        spent = [cpu.seconds_of(each) - before for each, before in zip(self._pids, self._spent, strict=True)]
        row = self._connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^sensus-(web|worker)'"
        ).fetchone()
        return _Reading(seconds, spent, int(row[0]) if row else 0)


def _worker(stack: BenchStack, api: Api, processes: int) -> ProcessSpec:
    environment = {**stack.plan.stack.environment, "SENSUS_DATABASE_URL": api.database_url}
    return _spec(replace(stack.plan.stack, worker_concurrency=processes, environment=environment), _WORKER)


def _spec(stack: Stack, name: str) -> ProcessSpec:
    return next(spec for spec in process_table(stack) if spec.name == name)


@contextmanager
def _running(spec: ProcessSpec) -> Iterator[int]:
    """A process for the time of the block; its id.  Raises Unavailable when it does not become ready."""
    process = subprocess.Popen(
        spec.command, env=dict(spec.env), cwd=spec.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + spec.ready_timeout_s
        while not spec.ready():
            if process.poll() is not None or time.monotonic() > until:
                raise Unavailable(f"{spec.name} did not start")
            time.sleep(_LOOK_S)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_scored(connection: Connection) -> None:
    until = time.monotonic() + _SCORED_WITHIN_S
    while time.monotonic() < until:
        row = connection.execute(_ALL_SCORED).fetchone()
        if row is not None and row[0]:
            return
        time.sleep(_LOOK_S)
    raise Unavailable(f"not everything was scored within {_SCORED_WITHIN_S:.0f} s")


def _scores(connection: Connection, run: str) -> int:
    row = connection.execute(_COUNT_SCORES, (run,)).fetchone()
    return int(row[0]) if row else 0
