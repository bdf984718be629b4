"""Series for the tests of detection."""

from math import sin, tau

import numpy as np
from hypothesis import strategies as st

from ml.features import SeriesMemory

START = 1_700_006_400.0
STEP = 300.0
PER_DAY = 288

finite = st.floats(allow_nan=False, allow_infinity=False)
levels = st.one_of(finite, st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, 1e-300, 1e15]))
gaps = st.one_of(
    st.sampled_from([1.0, 60.0, 300.0, 300.0, 900.0, 3600.0, 86_400.0, 700_000.0]),
    st.floats(min_value=0.5, max_value=1e6),
)
# (seconds since the sample before, value)
samples = st.lists(st.tuples(gaps, levels), min_size=1, max_size=60)


def unrolled(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Times and values of (gap, value) pairs."""
    times, now = [], START
    for gap, _ in pairs:
        now += gap
        times.append(now)
    return times, [value for _, value in pairs]


def daily(days: float = 8, *, seed: int = 0, noise: float = 1.0, step: float = STEP) -> tuple[list[float], list[float]]:
    """A noisy daily wave around 50, from a midnight on."""
    rng = np.random.default_rng(seed)
    n = int(days * 86_400 / step)
    times = [START + i * step for i in range(n)]
    values = [
        50 + 10 * sin(tau * (t % 86_400) / 86_400) + noise * e
        for t, e in zip(times, rng.standard_normal(n).tolist(), strict=True)
    ]
    return times, values


def features_of(times: list[float], values: list[float]) -> list[tuple[float, ...]]:
    """Feature rows of a whole series."""
    memory = SeriesMemory()
    return [memory.advance(time, value) for time, value in zip(times, values, strict=True)]
