"""How do series as Prometheus scrapes them become metrics that can be compared before and during an incident?

Counters become rates, `_sum` and `_count` a mean, and those of one service's instances, paths and methods are put
together. Answers with a status that tells of a failure are a metric of their own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml import counters
from ml.rootcause.incident import FloatArray
from ml.rootcause.sampled import Samples

# Parts of a histogram, facts that don't change, and what a runtime or a scrape tells of itself.
_LEFT_OUT = re.compile(
    r"_(?:bucket|created|info)$|^(?:scrape_|go_|python_|promhttp_|prometheus_|process_start_time|process_virtual_memory_max)"
)
_STATUS_LABELS = ("code", "status", "status_code", "http_status_code", "http_response_status_code", "response_code")
_RESULT_LABELS = ("result", "outcome", "success", "error")
_FAILED = re.compile(r"5\d\d|5xx|error|errors|fail(?:ed|ure)?|false|timeout", re.IGNORECASE)
# Gauges of so many instances are shown one by one, more as their mean.
_MOST_GAUGES = 12


@dataclass(frozen=True)
class Scraped:
    """One series as it is stored: times in Unix seconds, ascending."""

    service: str
    name: str
    labels: Mapping[str, str]
    times: FloatArray
    values: FloatArray


def metrics_of(series: Iterable[Scraped]) -> list[Samples]:
    """The metrics of these series, by service and name."""
    groups: dict[tuple[str, str, bool], list[Scraped]] = defaultdict(list)
    for one in series:
        if _LEFT_OUT.search(one.name) or "le" in one.labels or len(one.times) < 2:
            continue
        groups[one.service, one.name, _tells_of_failure(one.labels)].append(one)
    return list(_metrics(groups))


def _metrics(groups: Mapping[tuple[str, str, bool], Sequence[Scraped]]) -> Iterator[Samples]:
    for (service, name, failed), its in sorted(groups.items()):
        base = name.removesuffix("_sum")
        if name.endswith("_sum") and (service, f"{base}_count", failed) in groups:
            yield from _mean(service, base, its, groups[service, f"{base}_count", failed])
        elif counters.is_named_so(name):
            yield from _put_together(service, f"{name}:5xx_errors" if failed else name, [_rate(one) for one in its])
        elif len(its) > _MOST_GAUGES:
            yield from _put_together(service, name, [(one.times, one.values) for one in its], mean=True)
        else:
            yield from (Samples(service, name, one.times, one.values) for one in its)


def _tells_of_failure(labels: Mapping[str, str]) -> bool:
    status = next((labels[name] for name in _STATUS_LABELS if name in labels), "")
    if _FAILED.fullmatch(status):
        return True
    for name in _RESULT_LABELS:
        value = labels.get(name, "").lower()
        if name == "error" and value not in ("", "false", "none", "0"):
            return True
        if name != "error" and _FAILED.fullmatch(value):
            return True
    return False


def _rate(one: Scraped) -> tuple[FloatArray, FloatArray]:
    """Growth a second, at the later of each two samples; a counter that starts anew tells nothing there."""
    passed = np.diff(one.times)
    grown = np.diff(one.values)
    kept = (passed > 0) & (grown >= 0)
    return one.times[1:][kept], (grown[kept] / passed[kept]).astype(np.float64)


def _mean(service: str, name: str, sums: Sequence[Scraped], counts: Sequence[Scraped]) -> Iterator[Samples]:
    """What was observed on average, such as the latency of a request."""
    total = next(_put_together(service, name, [_rate(one) for one in sums]), None)
    count = next(_put_together(service, name, [_rate(one) for one in counts]), None)
    if total is None or count is None:
        return
    times, left, right = np.intersect1d(total.times, count.times, return_indices=True)
    many = count.values[right] > 0
    if many.any():
        yield Samples(service, name, times[many], total.values[left][many] / count.values[right][many])


def _put_together(
    service: str, name: str, parts: Sequence[tuple[FloatArray, FloatArray]], *, mean: bool = False
) -> Iterator[Samples]:
    """The sum of several series, or their mean, at each time that one of them has."""
    filled = [part for part in parts if len(part[0])]
    if not filled:
        return
    times, places = np.unique(np.concatenate([part[0] for part in filled]), return_inverse=True)
    values = np.concatenate([part[1] for part in filled])
    total = np.bincount(places, weights=values, minlength=len(times)).astype(np.float64)
    many = np.bincount(places, minlength=len(times)).astype(np.float64)
    yield Samples(service, name, times.astype(np.float64), total / many if mean else total)
