"""What went wrong, where first, and since when?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ml.changes.families import FAMILY_PATTERNS, OPERATIONAL_PATTERNS, words_of
from ml.changes.scenario import DEFAULTS, ChangeAlert, ChangeSettings, LogLine, MetricSeries, Pattern, Scenario

_BAD_SEVERITIES = frozenset({"ERROR", "WARN", "WARNING", "FATAL", "CRITICAL"})


@dataclass(frozen=True)
class Symptoms:
    """What the trouble looks like, where and when it began."""

    families: frozenset[str]
    words: Mapping[str, float]
    onset: float  # first sign of trouble
    first_service: str
    services: tuple[str, ...]  # in trouble, first one first
    operational: str


def _moved_at(series: MetricSeries, settings: ChangeSettings) -> float | None:
    """When a metric leaves the level of its first part for good (until the end or nearly); None when it does not."""
    count = len(series.values)
    base = series.values[: max(5, int(settings.baseline_share * count))]
    if count < 10:
        return None
    level = median(base)
    spread = 1.4826 * median(abs(value - level) for value in base)
    scale = max(spread, (max(base) - min(base)) / 4, 1e-9)
    limit = max(settings.shift_scales * scale, settings.shift_share * abs(level))
    outside = [abs(value - level) > limit for value in series.values]
    for position in range(len(base), count - 2):
        rest = outside[position : position + 10]
        if outside[position] and sum(rest) >= 0.8 * len(rest):
            return series.times[position]
    return None


def _is_load(metric: str) -> bool:
    return (
        bool(re.search(r"(^|_)(requests?|rps|qps|calls|traffic|ingress)(_|$)", metric.lower()))
        and "error" not in metric.lower()
    )


def _surging(scenario: Scenario, settings: ChangeSettings) -> bool:
    """Load at the alerting service (or anywhere) is a multiple of the usual by the time of the alert."""
    for series in scenario.metrics:
        if not _is_load(series.metric) or len(series.values) < 10:
            continue
        usual = median(series.values[: max(5, len(series.values) // 5)])
        late = [
            value for time, value in zip(series.times, series.values, strict=True) if time >= scenario.alert.time - 300
        ]
        if usual > 0 and late and median(late) > settings.surge_ratio * usual:
            return True
    return False


def troubles_of(scenario: Scenario) -> list[LogLine]:
    return sorted(
        (line for line in scenario.logs if line.severity.upper() in _BAD_SEVERITIES), key=lambda line: line.time
    )


def _novel(troubles: Sequence[LogLine], patterns: Sequence[Pattern]) -> list[LogLine]:
    """Leave out what is as frequent as always: warnings of services none of whose patterns grew."""
    grown = {pattern.service for pattern in patterns if pattern.negative and pattern.delta > 0}
    return [line for line in troubles if not grown or line.service in grown] or list(troubles)


def _first_service(troubles: Sequence[LogLine], alert: ChangeAlert) -> str:
    """The service of the first complaint; the alerting one when it complains within the same few seconds."""
    if not troubles:
        return alert.service
    first = troubles[0]
    together = {line.service for line in troubles if line.time <= first.time + 2.0}
    return alert.service if alert.service in together else first.service


def _operational_cause(scenario: Scenario, texts: Sequence[str], settings: ChangeSettings) -> str:
    """The operational cause that the texts name most; a status page that reports trouble makes it certain."""
    joined = [text.lower() for text in texts]
    counts = {name: sum(1 for text in joined if pattern.search(text)) for name, pattern in OPERATIONAL_PATTERNS}
    best = max(counts, key=lambda name: counts[name])
    degraded = [
        event
        for event in scenario.status
        if re.search(r"degrad|outage|disrupt|impair|incident|investigat", event.status)
    ]
    if degraded:
        return best if counts[best] else "provider"
    if _surging(scenario, settings):
        return "surge"
    needed = max(2.0, 0.3 * len(joined))
    return best if counts[best] >= needed and best != "surge" else ""


def symptoms_of(scenario: Scenario, settings: ChangeSettings = DEFAULTS) -> Symptoms:
    troubles = _novel(troubles_of(scenario), scenario.patterns)
    negative = [pattern for pattern in scenario.patterns if pattern.negative]
    moved = [(series, _moved_at(series, settings)) for series in scenario.metrics]
    shifted = [(series, time) for series, time in moved if time is not None and time <= scenario.alert.time + 60]
    distinct = list(dict.fromkeys(re.sub(r"\d+", "0", line.text) for line in troubles))
    texts = [pattern.text for pattern in negative] + distinct
    texts += [f"{span.name} {span.text}" for span in scenario.spans if span.failed]
    named = [*texts, scenario.alert.metric, scenario.alert.text, *(series.metric for series, _ in shifted)]
    joined = " \n ".join(named).lower()
    families = frozenset(name for name, pattern in FAMILY_PATTERNS if pattern.search(joined))
    first = _first_service(troubles, scenario.alert)
    signs = [line.time for line in troubles[:1]] + [time for series, time in shifted if series.service == first]
    bad = (
        [line.service for line in troubles] + [p.service for p in negative] + [series.service for series, _ in shifted]
    )
    services = tuple(dict.fromkeys([first, *bad, scenario.alert.service]))
    return Symptoms(
        families,
        {word: 1.0 + math.log(count) for word, count in words_of(" ".join(named)).items()},
        min([*signs, scenario.alert.time]),
        first,
        services,
        _operational_cause(scenario, texts, settings),
    )
