"""Series for the tests of detection, and what comes of them."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import sin, tau

import numpy as np
from hypothesis import strategies as st

from ml import features as f
from ml.artifact import Model
from ml.builtin import builtin_model
from ml.detectors.base import FloatArray
from ml.memory import Memory, recall, with_rings
from ml.scoring import Anomaly, Scored, Unscored, score_batch
from ml.threshold import DEFAULT_POLICY, Policy

START = 1_700_006_400.0
STEP = 300.0
PER_HOUR, PER_DAY = 12, 288

finite = st.floats(allow_nan=False, allow_infinity=False)
levels = st.one_of(finite, st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, 1e-300, 1e15]))
gaps = st.one_of(
    st.sampled_from([1.0, 60.0, 300.0, 300.0, 900.0, 3600.0, 86_400.0, 700_000.0]),
    st.floats(min_value=0.5, max_value=1e6),
)
# (seconds since the sample before, value)
samples = st.lists(st.tuples(gaps, levels), min_size=1, max_size=60)
Series = tuple[list[float], list[float]]


def unrolled(pairs: list[tuple[float, float]]) -> Series:
    """Times and values of (gap, value) pairs."""
    times, now = [], START
    for gap, _ in pairs:
        now += gap
        times.append(now)
    return times, [value for _, value in pairs]


def daily(days: float = 8, *, seed: int = 0, noise: float = 1.0, step: float = STEP) -> Series:
    """A noisy daily wave around 50, from a midnight on."""
    rng = np.random.default_rng(seed)
    n = int(days * 86_400 / step)
    times = [START + i * step for i in range(n)]
    values = [
        50 + 10 * sin(tau * (t % 86_400) / 86_400) + noise * e
        for t, e in zip(times, rng.standard_normal(n).tolist(), strict=True)
    ]
    return times, values


def figures_of(times: Sequence[float], values: Sequence[float]) -> FloatArray:
    """Figures of a whole series, shape (samples, FIGURES)."""
    starts = np.array([0, len(times)], dtype=np.int64)
    states = recall([None], "", np.zeros(0))
    return f.figures_of(states, starts, np.array(times, dtype=np.float64), np.array(values, dtype=np.float64))


def states_of(times: Sequence[float], values: Sequence[float]) -> list[str]:
    """The declared state at each sample."""
    return [f.STATES[int(code)] for code in figures_of(times, values)[:, f.STATE]]


@cache
def ordinary_table(rows: int = 600) -> FloatArray:
    """Figures of a few noisy daily series, past their warm-up."""
    parts = [figures_of(*daily(4, seed=seed, noise=1.0 + seed)) for seed in range(3)]
    table = np.concatenate([part[part[:, f.STATE] == 1.0] for part in parts])
    return table[np.random.default_rng(0).permutation(len(table))[:rows]]


def scored(
    times: Sequence[float],
    values: Sequence[float],
    policy: Policy = DEFAULT_POLICY,
    *,
    model: Model | None = None,
    memory: Memory | None = None,
) -> Scored:
    """What comes of the next samples of one series; by the built-in model when no other is given."""
    return score_batch(model or builtin_model(), [Unscored(times, values, memory)], policy)[0]


def in_batches(times: Sequence[float], values: Sequence[float], cuts: Sequence[int], model: Model) -> Scored:
    """The same in batches that end at these samples, with the memory put away between them."""
    memory: Memory | None = None
    scores: list[float] = []
    alerts: list[float] = []
    states: list[f.State] = []
    anomalies: list[Anomaly] = []
    for start, end in pairwise([0, *cuts, len(times)]):
        part = scored(times[start:end], values[start:end], model=model, memory=memory)
        memory = with_rings(part.memory, memory)
        scores += part.scores
        alerts += part.alerts
        states += part.states
        anomalies += [
            Anomaly(
                start + found.sample,
                found.threshold,
                found.expected_low,
                found.expected_high,
                found.contributions,
            )
            for found in part.anomalies
        ]
    assert memory is not None
    return Scored(scores, alerts, states, anomalies, memory, None)


def alarms(times: Sequence[float], values: Sequence[float], model: Model | None = None) -> list[int]:
    """Places of the samples that are anomalies."""
    return [anomaly.sample for anomaly in scored(times, values, model=model).anomalies]
