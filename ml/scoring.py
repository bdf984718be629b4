"""How strange are the newest samples of many series?  The one code path of worker, replay and evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from math import inf

import numpy as np

from ml import features as f
from ml import memory as m
from ml.artifact import Model
from ml.detectors.base import FloatArray, Starts
from ml.features import State, figures_of
from ml.memory import Memory, Own, States
from ml.threshold import DEFAULT_POLICY, Policy, calibrate


@dataclass(frozen=True, slots=True)
class Unscored:
    """The next samples of a series: epoch seconds, strictly increasing and later than those it remembers; values.

    `memory` is None for a new series. `shadow` is what a second model remembers of the series, None at its first time.
    """

    times: Sequence[float]
    values: Sequence[float]
    memory: Memory | None = None
    shadow: bytes | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much of the evidence for an anomaly is due to one feature, as a share; together they are 1."""

    name: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A sample that is worth waking someone, and why."""

    sample: int  # its place among the samples
    threshold: float
    expected_low: float
    expected_high: float
    contributions: tuple[Contribution, ...]  # strongest first


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says of each sample: `scores` rank, `alerts` page; both from 0 (ordinary) to 1 (strange)."""

    scores: list[float]
    alerts: list[float]


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of the samples of one series, in the order given.

    `memory` is to score the next ones with; its rings are None where they stayed as they were. `refused` says why the
    memory that was given could not be used, if so: then the series has started afresh.
    """

    scores: list[float]
    alerts: list[float]
    states: list[State]
    anomalies: list[Anomaly]
    memory: Memory
    refused: str | None
    shadow: Said | None = None
    shadow_memory: bytes | None = None


def score_batch(
    model: Model, series: Sequence[Unscored], policy: Policy = DEFAULT_POLICY, shadow: Model | None = None
) -> list[Scored]:
    """Score the next samples of series; any way to cut them into batches gives the same figures.

    A sample's figures depend on it and on earlier ones of its series only. With `shadow`, a second model scores the
    same samples beside the first, without any effect on it.
    Raises ValueError for samples that break the rules of `Unscored`.
    """
    states = m.recall([one.memory for one in series], model.algorithm, model.detector.beginning())
    batch = _batch_of(series, states)
    in_shadow = None
    if shadow is not None:
        shadows = [one.shadow for one in series]
        in_shadow = m.recall_own(shadows, shadow.algorithm, shadow.detector.beginning(), otherwise=states.own)
    samples, hours = states.now[:, m.SAMPLES].copy(), states.now[:, m.HOUR].copy()
    figures = figures_of(states, batch.starts, batch.times, batch.values)
    scores, alerts = _judged(model, policy, batch, figures, states.own)
    closed = (states.now[:, m.HOUR] != hours) | (samples == 0.0)
    memories = m.put_away(states, model.algorithm, closed)
    codes = figures[:, f.STATE].astype(np.int64).tolist()
    anomalies = _anomalies(model, policy, batch, figures, alerts)
    all_scores, all_alerts = scores.tolist(), alerts.tolist()
    results = [
        Scored(
            scores=all_scores[start:end],
            alerts=all_alerts[start:end],
            states=[f.STATES[code] for code in codes[start:end]],
            anomalies=anomalies.get(number, []),
            memory=memory,
            refused=refused,
        )
        for number, (start, end, memory, refused) in enumerate(
            zip(batch.starts[:-1].tolist(), batch.starts[1:].tolist(), memories, states.refused, strict=True)
        )
    ]
    if shadow is None or in_shadow is None:
        return results
    scores, alerts = _judged(shadow, policy, batch, figures, in_shadow)
    said = zip(_by_series(scores, batch), _by_series(alerts, batch), strict=True)
    kept = m.put_own_away(in_shadow, shadow.algorithm)
    return [
        replace(result, shadow=Said(*figures_of_series), shadow_memory=memory)
        for result, figures_of_series, memory in zip(results, said, kept, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Samples of several series, one after the other; those of series n begin at `starts[n]`."""

    starts: Starts
    times: FloatArray
    values: FloatArray


def _batch_of(series: Sequence[Unscored], states: States) -> _Batch:
    counts = [len(one.times) for one in series]
    if counts != [len(one.values) for one in series]:
        raise ValueError("each sample needs a time and a value")
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
    times = np.fromiter(chain.from_iterable(one.times for one in series), np.float64, starts[-1])
    values = np.fromiter(chain.from_iterable(one.values for one in series), np.float64, starts[-1])
    if not np.isfinite(times).all() or not np.isfinite(values).all():
        raise ValueError("times and values must be finite numbers")
    firsts = starts[:-1][np.diff(starts) > 0]
    follows = np.ones(len(times), dtype=np.bool_)
    follows[firsts] = False
    if (np.diff(times, prepend=-inf)[follows] <= 0.0).any():
        raise ValueError("times must increase strictly")
    known = states.now[np.diff(starts) > 0]
    if ((times[firsts] <= known[:, m.LAST_TIME]) & (known[:, m.SAMPLES] > 0.0)).any():
        raise ValueError("a sample is not later than the last one that was scored")
    return _Batch(starts, times, values)


def _judged(
    model: Model, policy: Policy, batch: _Batch, figures: FloatArray, own: Own
) -> tuple[FloatArray, FloatArray]:
    evidence = model.detector.judge(figures, batch.starts, own.numbers)
    return calibrate(policy, evidence, figures, batch.times, batch.starts, own.paging)


def _by_series(figures: FloatArray, batch: _Batch) -> list[list[float]]:
    every = figures.tolist()
    return [every[start:end] for start, end in pairwise(batch.starts.tolist())]


def _anomalies(
    model: Model, policy: Policy, batch: _Batch, figures: FloatArray, alerts: FloatArray
) -> dict[int, list[Anomaly]]:
    """Of each series that has any, its anomalies in order of time."""
    strange = np.flatnonzero(alerts >= policy.threshold)
    found: dict[int, list[Anomaly]] = {}
    if not len(strange):
        return found
    series = np.searchsorted(batch.starts, strange, side="right") - 1
    parts = model.detector.explain(figures[strange])
    shares = parts / np.maximum(parts.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    for place, number, of_features in zip(strange.tolist(), series.tolist(), shares.tolist(), strict=True):
        row = figures[place]
        anomaly = Anomaly(
            sample=place - int(batch.starts[number]),
            threshold=policy.threshold,
            expected_low=float(row[f.LOW]),
            expected_high=float(row[f.HIGH]),
            contributions=tuple(
                sorted(
                    (
                        Contribution(name, float(row[column]), of_features[column])
                        for column, name in enumerate(f.FEATURE_NAMES)
                    ),
                    key=lambda part: -part.contribution,
                )
            ),
        )
        found.setdefault(number, []).append(anomaly)
    return found
