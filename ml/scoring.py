"""How strange are these samples of one series?  The one code path of worker, replay and evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

import numpy as np

from ml.artifact import Model
from ml.detectors.base import Detector, FloatArray
from ml.errors import MemoryRejected
from ml.features import SeriesMemory, State
from ml.threshold import CALIBRATION_BYTES, DEFAULT_POLICY, Calibration, Policy


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much of a score is due to one feature: the score minus what it were with the feature ordinary."""

    name: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Why a sample is worth waking someone."""

    threshold: float
    expected_low: float
    expected_high: float
    contributions: tuple[Contribution, ...]  # strongest first


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of one sample: `score` ranks, `alert` pages; both from 0 (ordinary) to 1 (strange)."""

    time: float
    value: float
    score: float
    alert: float
    state: State
    anomaly: Anomaly | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Figures of each sample, in the order given, and the memory to score the next ones with."""

    figures: list[Figures]
    memory: bytes


def score_batch(
    model: Model,
    memory: bytes | None,
    times: Sequence[float],
    values: Sequence[float],
    policy: Policy = DEFAULT_POLICY,
) -> Batch:
    """Score the next samples of a series; any way to cut them into batches gives the same figures.

    `times` are epoch seconds, strictly increasing and later than the last time in `memory`, which is None for a
    new series. A sample's figures depend on it and on earlier ones only.
    Raises ValueError for samples that break these rules, MemoryRejected for a memory that cannot be read.
    """
    series, calibration = _recall(memory)
    # numpy's scalars compute slower than plain floats, and warn where those do not.
    times, values = [float(time) for time in times], [float(value) for value in values]
    _check(series, times, values)
    rows, states, warmths, expected = [], [], [], []
    for time, value in zip(times, values, strict=True):
        rows.append(series.advance(time, value))
        states.append(series.state)
        warmths.append(series.warmth)
        expected.append((series.expected_low, series.expected_high))
    if not rows:
        return Batch([], _keep(series, calibration))
    features = np.array(rows, dtype=np.float64)
    scores: list[float] = model.detector.score(features).tolist()
    alerts = [
        calibration.advance(time, score, state, warmth, policy)
        for time, score, state, warmth in zip(times, scores, states, warmths, strict=True)
    ]
    strange = [number for number, alert in enumerate(alerts) if policy.is_anomaly(alert)]
    anomalies: dict[int, Anomaly] = {}
    if strange:
        reasons = contributions(model, features[strange], [scores[number] for number in strange])
        for number, reason in zip(strange, reasons, strict=True):
            low, high = expected[number]
            anomalies[number] = Anomaly(policy.threshold, low, high, reason)
    figures = [
        Figures(time, value, score, alert, state, anomalies.get(number))
        for number, (time, value, score, alert, state) in enumerate(
            zip(times, values, scores, alerts, states, strict=True)
        )
    ]
    return Batch(figures, _keep(series, calibration))


def contributions(model: Model, features: FloatArray, scores: Sequence[float]) -> list[tuple[Contribution, ...]]:
    """For each row, what each feature adds to its score, strongest first."""
    detector: Detector = model.detector
    count, width = features.shape
    changed = np.repeat(features, width, axis=0).reshape(count, width, width)
    for column, ordinary in enumerate(detector.centre()):
        changed[:, column, column] = ordinary
    without = detector.score(changed.reshape(count * width, width)).reshape(count, width)
    found = []
    for row, score, rest in zip(features.tolist(), scores, without.tolist(), strict=True):
        parts = [
            Contribution(name, value, score - less)
            for name, value, less in zip(model.feature_names, row, rest, strict=True)
        ]
        found.append(tuple(sorted(parts, key=lambda part: -part.contribution)))
    return found


def _check(series: SeriesMemory, times: Sequence[float], values: Sequence[float]) -> None:
    if len(times) != len(values):
        raise ValueError(f"{len(times)} times for {len(values)} values")
    if not all(map(isfinite, times)) or not all(map(isfinite, values)):
        raise ValueError("times and values must be finite numbers")
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise ValueError("times must increase strictly")
    if times and series.samples and times[0] <= series.last_time:
        raise ValueError(f"the sample at {times[0]} is not later than the last scored, at {series.last_time}")


def _recall(memory: bytes | None) -> tuple[SeriesMemory, Calibration]:
    if memory is None:
        return SeriesMemory(), Calibration()
    if len(memory) <= CALIBRATION_BYTES:
        raise MemoryRejected(f"these {len(memory)} bytes are not a series memory")
    series = SeriesMemory.from_bytes(memory[:-CALIBRATION_BYTES])
    return series, Calibration.from_bytes(memory[-CALIBRATION_BYTES:])


def _keep(series: SeriesMemory, calibration: Calibration) -> bytes:
    return series.to_bytes() + calibration.to_bytes()
