"""What does the ranking of suspects take and give, and by which constants?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


BoolArray = NDArray[np.bool_]


Edge = tuple[str, str]


INDICATOR_SERVICES = frozenset({"__sli__"})  # user-facing indicators: symptoms, never suspects


@dataclass(frozen=True)
class Settings:
    """Every constant of the ranking, with its unit and its reason."""

    # -- windows --------------------------------------------------------------------------------------------------
    max_points: int = 24  # the incident is folded (medians) to at most so many points: single 1 s samples are noise
    guard_s: float = 300.0  # last seconds before the start are kept out of the reference: alerts come late
    guard_share: float = 0.15  # ... but never more than this share of a short reference
    early_s: float = 60.0  # ... and the last minute before the start is looked at as if it were incident
    lookback_s: float = 3600.0  # how far back the onset may lie before the stated start
    stretch: float = 0.5  # a sustained deviation lasts this share of the incident; faults often end before it does
    # -- scale ----------------------------------------------------------------------------------------------------
    floor_median: float = 0.05  # 5 % of the usual level is never an anomaly, however quiet the metric
    floor_maximum: float = 0.02  # for metrics that are usually zero: 2 % of the largest value seen
    floor_failures: float = 0.002  # success rates: 0.2 % of requests failing is a metric's resolution (1 in ~500)
    cap: float = 1e4  # scales; only keeps infinities out
    reference_quantile: float = 0.9  # what one stretch in ten of the reference reaches is no evidence
    # -- alert's profile ------------------------------------------------------------------------------------------
    alert_tail: float = 0.15  # the alert's metric counts as off beyond the worst 15 % of its reference
    contrast: float = 1.0  # deviation outside the alert's profile is subtracted in full
    # -- weights of kinds -----------------------------------------------------------------------------------------
    weight_workload: float = 0.25  # load is mostly a consequence: callers wait, users leave
    weight_traffic: float = 0.5  # network, system calls, outgoing latency follow load and callees
    weight_unknown: float = 0.5  # no direction and no kind known
    weight_silence: float = 3.0  # a service all of whose series stop: like 20 scales
    second_kind: float = 0.2  # a second kind of metric in the same service corroborates
    # -- graph ----------------------------------------------------------------------------------------------------
    explained: float = 0.9  # share of a symptom that an equally deviating callee explains
    other_symptom: float = 0.1  # latency under an alert on failures, and the reverse
    unreachable: float = 0.5  # not downstream of the alerting service
    outside_view: float = 0.5  # load balancers, remote addresses, clients: views of the component behind them
    lost_calls: float = 1.25  # calls that stop while the caller's load goes on: rarer than slowness, worth more


DEFAULTS = Settings()


@dataclass(frozen=True)
class Alert:
    service: str
    metric: str
    time: float | None = None


@dataclass(frozen=True)
class Incident:
    """``values[i, j]`` is series ``j`` at ``times[i]`` (epoch seconds, ascending); NaN where there is no sample."""

    times: FloatArray
    values: FloatArray
    series: tuple[tuple[str, str], ...]  # (service, metric) of each column
    start: float  # epoch seconds: the first time that may be faulty; may be late
    alert: Alert | None = None
    calls: tuple[Edge, ...] = ()  # (caller, callee)


@dataclass(frozen=True)
class Suspect:
    service: str
    metric: str
    score: float
    confidence: float  # of being the (a) root cause; calibrated for the first
    kinds: Mapping[str, float] = field(default_factory=dict)  # what speaks for it, by kind of evidence
