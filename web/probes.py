"""How are the servers around us?  Asked with a time limit each, and the figures of unfinished work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

from flask import Flask, current_app
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from celery_config import QUEUES
from db.cli import revision_is_current
from db.queries import detection_figures as models_that_score
from db.queries import unfinished
from db.queries.detection_figures import DetectionFigures
from sensus.breaker import Guard
from sensus.errors import Unavailable
from sensus.health import Check, Pings, Status, ollama_ping
from web import detection_figures, processes
from web.resources import Resources

T = TypeVar("T")

_EXTENSION = "sensus_probes"
_LIMIT_S = 1.5
_WORKERS_PING_S = 1.0
_KEPT_S = 5.0


class Probes:
    """The probes of one application; they share their answers for a few seconds.

    Each server is asked through a guard with few threads, because a server that hangs would otherwise
    hold more and more of them, until a healthy one is reported away.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._database = Guard("database", limit_s=_LIMIT_S, rest_s=0.5, threads=4)
        self._redis = Guard("redis", limit_s=_LIMIT_S, rest_s=0.5, threads=4)
        self._workers = Guard("workers", limit_s=_LIMIT_S, rest_s=_KEPT_S, threads=2)
        settings = resources.settings
        self._ollama = _kept(lambda: ollama_ping(settings.ollama_url, settings.llm_model))
        self._answering = _kept(lambda: self._workers.call(_workers_ping))
        self._pings = Pings(
            {
                "database": lambda: self._database.call(resources.database.ping),
                "redis": lambda: self._redis.call(self._redis_ping),
                "workers": self._answering,
                "ollama": self._ollama,
            },
            needed=frozenset({"database"}),
        )
        self._rows = _kept(lambda: self._database.call(self._unfinished))
        self._models = _kept(lambda: self._database.call(self._detection))
        self._lengths = _kept(lambda: self._redis.call(self._queue_lengths))

    def run(self) -> tuple[Status, dict[str, Check]]:
        """The verdict, and each check."""
        return self._pings.run()

    def not_ready(self) -> str | None:
        """Why no request can be served, or None.  Redis away is no reason: the rows are the truth."""
        try:
            current = self._database.call(lambda: revision_is_current(self._resources.database))
        except Unavailable as error:
            return str(error)
        return None if current else "the database is not at this release's revision: run `sensus db upgrade`"

    def gauges(self) -> CollectorRegistry:
        """Figures that are asked for when Prometheus scrapes; those of a server that is away are left out."""
        registry = CollectorRegistry()
        registry.register(_Figures(list(self._families())))
        return registry

    def _families(self) -> Iterator[Metric]:
        yield from processes.families()
        try:
            counts, lag_s = self._rows()
        except Unavailable:
            pass
        else:
            family = GaugeMetricFamily("sensus_unfinished", "Work that is stored and not done yet.", labels=["kind"])
            for kind, count in counts.items():
                family.add_metric([kind], count)
            yield family
            yield GaugeMetricFamily("sensus_ingest_lag_seconds", "Age of the oldest unfinished work.", value=lag_s)
        try:
            yield from detection_figures.families(self._models())
        except Unavailable:
            pass
        try:
            lengths = self._lengths()
        except Unavailable:
            return
        family = GaugeMetricFamily("sensus_queue_length", "Messages that wait in a queue.", labels=["queue"])
        for queue, length in lengths.items():
            family.add_metric([queue], length)
        yield family

    def _detection(self) -> list[DetectionFigures]:
        with self._resources.database.transaction() as session:
            return models_that_score.read(session)

    def _unfinished(self) -> tuple[dict[str, int], float]:
        with self._resources.database.transaction() as session:
            return unfinished.counts(session), unfinished.oldest_age_s(session)

    def _redis_ping(self) -> str:
        self._resources.redis.ping()
        return f"Redis {self._resources.redis.info('server')['redis_version']}"

    def _queue_lengths(self) -> dict[str, int]:
        return {queue: self._resources.redis.llen(queue) for queue in QUEUES}


def install(app: Flask, resources: Resources) -> None:
    """Make the probes of this application."""
    app.extensions[_EXTENSION] = Probes(resources)


def probes() -> Probes:
    """The probes of the current application."""
    return cast(Probes, current_app.extensions[_EXTENSION])


class _Figures(Collector):
    """Families that were made already, as a collector."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _kept(ask: Callable[[], T]) -> Callable[[], T]:
    """`ask`, whose answer or failure is good for a few seconds."""
    lock = threading.Lock()
    kept: list[tuple[float, T | Exception]] = []

    def answer() -> T:
        with lock:
            known = kept[0] if kept and kept[0][0] > time.monotonic() else None
        if known is None:
            outcome: T | Exception
            try:
                outcome = ask()
            except Exception as error:
                outcome = error
            known = (time.monotonic() + (1.0 if isinstance(outcome, Exception) else _KEPT_S), outcome)
            with lock:
                kept[:] = [known]
        if isinstance(known[1], Exception):
            raise known[1]
        return known[1]

    return answer


def _workers_ping() -> str:
    # Imported when first used: the module reads the settings of the process.
    from tasks import signatures

    names = signatures.workers_answering(timeout_s=_WORKERS_PING_S)
    missing = [queue for queue in QUEUES if not any(name.startswith(f"{queue}@") for name in names)]
    # With as many answers as queues the rest is not waited for, so only fewer say that one is missing.
    if missing and len(names) < len(QUEUES):
        raise WorkersMissing(", ".join(missing))
    return ", ".join(names)


class WorkersMissing(Unavailable):
    """No worker of a queue answers; stored work waits for it."""
