"""`sensus bench analyse`: how long does ranking take, in how much memory, and how often is it right?"""

from __future__ import annotations

import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from bench import known_cases, made_incidents, quality
from bench.figures import Figure, percentile
from bench.known_cases import KnownCase
from bench.quality import Judged
from bench.rounds import Say
from ml.rootcause.incident import Incident
from ml.rootcause.ranking import rank
from ml.rootcause.scraped import Scraped
from tasks import case_folder
from tasks.suspects import Material, ranked

LATE_S = 60.0
_MEGABYTE = 1e6
_FACTORS = (1e-3, 1.0, 1e3, 1e6)


@dataclass(frozen=True, slots=True)
class Span:
    """How much is measured: incidents of so many metrics, each size so often."""

    sizes: tuple[int, ...]
    repeats: int


def measure(span: Span, folder: Path | None, say: Say) -> Iterator[Figure]:
    """The figures, as they come: first of speed, then of quality."""
    for metrics in span.sizes:
        say(f"incidents of {metrics} metrics")
        yield from _speed(metrics, span.repeats)
    say("cases whose cause is known")
    known = list(known_cases.made() if folder is None else known_cases.cases(folder))
    yield from _quality(known)
    if folder is not None:
        yield from _changes(folder)


def _speed(metrics: int, repeats: int) -> Iterator[Figure]:
    faults = sorted(made_incidents.FAULTS)
    incidents = [
        made_incidents.incident(seed, metrics, fault=faults[seed % len(faults)])[1] for seed in range(min(repeats, 5))
    ]
    yield _timed(f"rank_{metrics}", [partial(rank, one) for one in incidents], repeats)
    materials = [_as_stored(one) for one in incidents]
    yield _timed(f"suspects_{metrics}", [partial(ranked, one) for one in materials], repeats)


def _timed(name: str, works: Sequence[Callable[[], object]], repeats: int) -> Figure:
    works[0]()  # the first call imports and compiles what all others find ready
    cpu_began = time.process_time()
    took = [_milliseconds(works[number % len(works)]) for number in range(repeats)]
    cpu_ms = 1e3 * (time.process_time() - cpu_began) / repeats
    tracemalloc.start()
    works[0]()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    p95 = percentile(took, 0.95)
    facts = {"p50_ms": median(took), "p95_ms": p95, "cpu_ms": cpu_ms, "peak_mb": peak / _MEGABYTE, "cases": repeats}
    return Figure(name, p95, "ms", facts)


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def _as_stored(incident: Incident) -> Material:
    """The incident as it is read from the database: a series for each metric, with times of its own."""
    scraped = tuple(
        Scraped(service, name, {"service": service}, incident.times, np.ascontiguousarray(incident.values[:, column]))
        for column, (service, name) in enumerate(incident.series)
    )
    return Material(scraped, incident.calls, datetime.fromtimestamp(incident.start, UTC), None, None)


def _quality(known: Sequence[KnownCase]) -> Iterator[Figure]:
    found = {"": _judge(known, lambda incident: incident), "_late_60_s": _judge(known, _late)}
    for suffix, by_dataset in found.items():
        for dataset, its in sorted(by_dataset.items()):
            yield _accuracy(f"right_{dataset}{suffix}", its)
        if len(by_dataset) > 1:
            yield _mean(f"right_mean{suffix}", by_dataset)
    every = [case for its in found[""].values() for case in its]
    bins = [asdict(one) for one in quality.reliability(every)]
    told = quality.auroc(every)
    facts = {"brier": quality.brier(every), "cases": len(every), "bins": bins}
    yield Figure("confidence", 1.0 if told is None else told, "AUROC", facts)
    yield _units(known)


def _judge(known: Sequence[KnownCase], change: Callable[[Incident], Incident]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = defaultdict(list)
    for case in known:
        suspects = rank(change(case.incident))
        confidence = suspects[0].confidence if suspects else 0.0
        found[case.dataset].append(quality.judged([one.service for one in suspects], confidence, case.truth))
    return found


def _late(incident: Incident) -> Incident:
    """The same, told of a minute too late."""
    alert = incident.alert
    if alert is not None and alert.time is not None:
        alert = replace(alert, time=alert.time + LATE_S)
    return replace(incident, start=incident.start + LATE_S, alert=alert)


def _accuracy(name: str, its: Sequence[Judged]) -> Figure:
    facts = {"ac3": quality.accuracy(its, 3), "avg5": quality.average(its), "cases": len(its)}
    return Figure(name, quality.accuracy(its, 1), "AC@1", facts)


def _mean(name: str, by_dataset: Mapping[str, Sequence[Judged]]) -> Figure:
    """The mean over data sets, each counted once, however many cases it has."""
    each = [_accuracy(name, its) for its in by_dataset.values()]
    facts = {fact: sum(one.facts[fact] for one in each) / len(each) for fact in ("ac3", "avg5")}
    return Figure(name, sum(one.value for one in each) / len(each), "AC@1", {**facts, "data_sets": len(each)})


def _units(known: Sequence[KnownCase]) -> Figure:
    """In how many cases the order changes when metrics are told in other units."""
    rng = np.random.default_rng(0)
    changed = 0
    for case in known:
        factors = rng.choice(_FACTORS, len(case.incident.series))
        other = rank(replace(case.incident, values=case.incident.values * factors))
        changed += [one.service for one in other] != [one.service for one in rank(case.incident)]
    return Figure("changed_by_units", changed, "cases", {"cases": len(known)})


def _changes(folder: Path) -> Iterator[Figure]:
    known = known_cases.scenarios(folder)
    if not known:
        return
    blamed = [str(case_folder.attribution(each.folder)["root_cause_commit"]) for each in known]
    right = sum(one == each.truth for one, each in zip(blamed, known, strict=True))
    decoys = sum(one in each.decoys for one, each in zip(blamed, known, strict=True))
    yield Figure("changes_right", right / len(known), "share", {"decoys": decoys, "cases": len(known)})
