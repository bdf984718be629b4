"""What does Prometheus get beside the counters?  Figures of stored work, queues, the model and the processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from celery_config import QUEUES
from db.queries import model_figures, unfinished
from db.queries.model_figures import ModelFigures
from db.queries.unfinished import Waiting
from sensus import queues, times, usage
from sensus.errors import Unavailable
from web.kept import kept
from web.resources import Resources

T = TypeVar("T")


class Ask(Protocol):
    """Runs a call to a server that may be away.  Raises Unavailable."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


class Figures:
    """The figures of one application, asked for when Prometheus scrapes and then shared for a few seconds."""

    def __init__(self, resources: Resources, *, ask_database: Ask, ask_redis: Ask) -> None:
        self._resources = resources
        self._waiting = kept(lambda: ask_database(self._read_waiting))
        self._model = kept(lambda: ask_database(self._read_model))
        self._lengths = kept(lambda: ask_redis(self._read_lengths))

    def registry(self) -> CollectorRegistry:
        """All that can be had at present; figures of a server that is away are left out."""
        registry = CollectorRegistry()
        registry.register(_Families(list(self._families())))
        return registry

    def _families(self) -> Iterator[Metric]:
        yield from usage.families()
        yield from _or_nothing(lambda: _of_waiting(self._waiting()))
        yield from _or_nothing(lambda: _of_model(self._model()))
        yield from _or_nothing(lambda: _of_queues(self._lengths()))

    def _read_waiting(self) -> dict[str, Waiting]:
        with self._resources.database.transaction() as session:
            return unfinished.waiting(session)

    def _read_model(self) -> ModelFigures:
        with self._resources.database.transaction() as session:
            return model_figures.read(session)

    def _read_lengths(self) -> dict[str, int]:
        return {queue: queues.length(self._resources.redis, queue) for queue in QUEUES}


class _Families(Collector):
    """Families that were made already, as a collector."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _or_nothing(families: Callable[[], Iterable[Metric]]) -> Iterable[Metric]:
    try:
        return list(families())
    except Unavailable:
        return ()


def _of_waiting(waiting: Mapping[str, Waiting]) -> Iterator[Metric]:
    counts = GaugeMetricFamily("sensus_unfinished", "Work that is stored and not done yet.", labels=["kind"])
    ages = GaugeMetricFamily(
        "sensus_unfinished_age_seconds", "Age of the oldest work of a kind that is not done yet.", labels=["kind"]
    )
    for kind, one in waiting.items():
        counts.add_metric([kind], one.count)
        ages.add_metric([kind], one.oldest_s)
    yield counts
    yield ages
    # A chat server that is away is no lag of ours.
    lag_s = max(one.oldest_s for kind, one in waiting.items() if kind != "notifications")
    yield GaugeMetricFamily("sensus_ingest_lag_seconds", "Age of the oldest unfinished work.", value=lag_s)


def _of_model(found: ModelFigures) -> Iterator[Metric]:
    roles = ["algorithm", "role"]
    info = GaugeMetricFamily(
        "sensus_model_info", "The versions of the detection models that score.", labels=["version", *roles]
    )
    trained = GaugeMetricFamily(
        "sensus_model_trained_timestamp_seconds", "When the version in force was trained.", labels=["algorithm"]
    )
    evaluation = GaugeMetricFamily(
        "sensus_model_evaluation",
        "What the newest evaluation of a version that scores found.",
        labels=[*roles, "figure"],
    )
    drift = GaugeMetricFamily(
        "sensus_model_drift",
        "How far a feature of the last day is from what the version was trained on: its population stability index.",
        labels=[*roles, "feature"],
    )
    for one in found.scoring:
        info.add_metric([one.version, one.algorithm, one.role], 1)
        if one.role == "champion":
            trained.add_metric([one.algorithm], times.to_epoch(one.trained_at))
        for name, value in one.evaluation.items():
            evaluation.add_metric([one.algorithm, one.role, name], value)
        for name, value in one.drift.items():
            drift.add_metric([one.algorithm, one.role, name], value)
    runs = GaugeMetricFamily(
        "sensus_last_run_timestamp_seconds",
        "When a training or evaluation last came to its end; before the first one, when the installation was made.",
        labels=["kind"],
    )
    for kind, at in found.last_runs.items():
        runs.add_metric([kind], times.to_epoch(at))
    return iter((info, trained, evaluation, drift, runs))


def _of_queues(lengths: Mapping[str, int]) -> Iterator[Metric]:
    family = GaugeMetricFamily("sensus_queue_length", "Messages that wait in a queue.", labels=["queue"])
    for queue, length in lengths.items():
        family.add_metric([queue], length)
    yield family
