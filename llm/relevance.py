"""How much has a recorded thing to do with an alert?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from llm.evidence import CHANGE

# One thing has many names: what a scrape calls `instance`, a deploy event calls `host`.
_SAME_THING = {
    "service": ("service_name", "app", "application", "app_kubernetes_io_name", "component", "workload",
                "deployment", "statefulset", "daemonset", "exported_service"),
    "instance": ("host", "hostname", "node", "nodename", "exported_instance", "server"),
    "pod": ("pod_name", "kubernetes_pod_name", "exported_pod"),
    "namespace": ("kubernetes_namespace", "exported_namespace"),
    "job": ("exported_job",),
}  # fmt: skip
_CANONICAL = {other: name for name, others in _SAME_THING.items() for other in others}

_LABEL_WEIGHTS = {
    "service": 1.0,
    "instance": 1.0,
    "pod": 1.0,
    "container": 0.7,
    "device": 0.6,
    "mountpoint": 0.6,
    "database": 0.8,
    "queue": 0.8,
    "topic": 0.8,
    "job": 0.5,
    "namespace": 0.4,
    "cluster": 0.1,
    "region": 0.1,
    "zone": 0.1,
    "environment": 0.05,
    "env": 0.05,
    "team": 0.1,
    "replica": 0.0,
    "severity": 0.0,
    "prometheus": 0.0,
    "monitor": 0.0,
    "alertname": 0.0,
    "__name__": 0.0,
}
_OTHER_LABEL = 0.25
_DOUBT = 0.5  # one equal label is a hint, several are a match

_BEFORE_S = 30 * 60.0
_AFTER_S = 10 * 60.0
_CHANGE_BEFORE_S = 12 * 3600.0  # many changes bite hours later, so their age says little
_UNKNOWN_TIME = 0.3

_PORT = re.compile(r"(?<=[^:]):\d{1,5}$")
_WORD = re.compile(r"[a-z0-9]+")


def relevance(
    subject_labels: Mapping[str, str],
    subject_time: datetime,
    item_labels: Mapping[str, str],
    item_time: datetime | None,
    kind: str,
    text: str = "",
) -> float:
    """How much a recorded thing has to do with an alert, from 0 (nothing) to 1.

    Labels count most, and among them those that name a service, an instance or a pod; severity and replica
    count nothing. `text` (a change's title, a summary) that names the alert's service or instance counts like a
    label of that name, a little less. Nearness in time adds to a match. A change is never relevant by being
    recent alone: where neither label nor text matches, it weighs nothing, and one made after the alert next to
    nothing.
    """
    match = max(label_match(subject_labels, item_labels), 0.8 * _named_in(subject_labels, text))
    if kind == CHANGE:
        return match * change_timing(subject_time, item_time)
    closeness = _closeness(subject_time, item_time)
    return min(1.0, match * (0.55 + 0.45 * closeness) + 0.2 * closeness * (1.0 - match))


def label_match(one: Mapping[str, str], other: Mapping[str, str]) -> float:
    """How far two label sets speak of the same thing, from 0 to 1; labels only one has say nothing."""
    right = _canonical(other)
    equal = unlike = 0.0
    for name, values in _canonical(one).items():
        if name not in right:
            continue
        if values.isdisjoint(right[name]):
            unlike += _weight(name)
        else:
            equal += _weight(name)
    return equal / (equal + unlike + _DOUBT) if equal else 0.0


def change_timing(subject_time: datetime, item_time: datetime | None) -> float:
    """How far a change may be the cause judging by its time alone, from 0.1 to 1."""
    if item_time is None:
        return 0.6
    earlier_s = (subject_time - item_time).total_seconds()
    if earlier_s < -60.0:  # clocks of two machines differ by seconds, not by minutes
        return 0.1
    return 0.7 + 0.3 * math.exp(-max(earlier_s, 0.0) / _CHANGE_BEFORE_S)


def identity(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that tell one alert from another, most telling first: no severity, replica and the like."""
    telling = [(name, value) for name, value in labels.items() if value and _weight(_name(name)) > 0.0]
    return dict(sorted(telling, key=lambda pair: (-_weight(_name(pair[0])), pair[0])))


def _canonical(labels: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    return _canonical_of(tuple(labels.items()))


# In a storm the same few hundred things are weighed for each of thousands of alerts.
@lru_cache(maxsize=2048)
def _canonical_of(labels: tuple[tuple[str, str], ...]) -> Mapping[str, frozenset[str]]:
    values: dict[str, set[str]] = {}
    for name, value in labels:
        if value:
            values.setdefault(_name(name), set()).add(_PORT.sub("", value.strip().lower()))
    return {name: frozenset(found) for name, found in values.items()}


@lru_cache(maxsize=4096)
def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _name(label: str) -> str:
    return _CANONICAL.get(label.lower(), label.lower())


def _weight(name: str) -> float:
    return _LABEL_WEIGHTS.get(name, _OTHER_LABEL)


def _named_in(labels: Mapping[str, str], text: str) -> float:
    """1 / (1 + doubt) when the text names the alert's service, instance, pod or job word by word, else 0."""
    words = _words(text)
    return 1.0 / (1.0 + _DOUBT) if any(name in words for name in _telling_names(tuple(labels.items()))) else 0.0


@lru_cache(maxsize=64)
def _telling_names(labels: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    telling = (values for name, values in _canonical_of(labels).items() if _weight(name) >= 0.5)
    return tuple(words for values in telling for words in map(_words, values) if len(words) > 4)


def _closeness(subject_time: datetime, item_time: datetime | None) -> float:
    if item_time is None:
        return _UNKNOWN_TIME
    earlier_s = (subject_time - item_time).total_seconds()
    if earlier_s >= 0:
        return math.exp(-earlier_s / _BEFORE_S)
    # What began after the alert is rather its consequence.
    return 0.5 * math.exp(earlier_s / _AFTER_S)
