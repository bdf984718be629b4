"""What do ordinary series look like?  Generated ones, for the model of a system that has no history yet."""

from collections.abc import Iterator
from math import tau

import numpy as np

from ml.detectors.base import FloatArray

DAYS = 9
DAY_S = 86_400
STEPS_S = (300, 300, 900, 300, 3600)
_START = 1_700_006_400  # a Tuesday's midnight

Generated = tuple[list[float], list[float]]


def ordinary_series(seed: int, rounds: int = 3) -> Iterator[Generated]:
    """Times (epoch seconds) and values of ordinary series: `rounds` of each kind, the same for the same seed."""
    for number, kind in enumerate(_KINDS * rounds):
        rng = np.random.default_rng([seed, number])
        step = STEPS_S[number % len(STEPS_S)]
        seconds = np.arange(0, DAYS * DAY_S, step, dtype=np.float64)
        values = kind(rng, seconds / DAY_S, step)
        yield (seconds + _START).tolist(), values.tolist()


def _noise(rng: np.random.Generator, n: int, hours: float, step: int) -> FloatArray:
    """Noise of unit size that forgets within so many hours; white when that is less than a step."""
    keep = float(np.exp(-step / (hours * 3600.0)))
    out = np.empty(n)
    level = 0.0
    for i, push in enumerate(rng.standard_normal(n).tolist()):
        level = keep * level + (1.0 - keep * keep) ** 0.5 * push
        out[i] = level
    return out


def _daily(rng: np.random.Generator, day: FloatArray, step: int) -> FloatArray:
    """Load that follows the day, quieter at the weekend."""
    wave = np.sin(tau * (day + rng.random())) + rng.uniform(0, 0.5) * np.sin(2 * tau * (day + rng.random()))
    week = np.where((day + 1) % 7 >= 5, rng.uniform(0.6, 1.0), 1.0)
    return 10 + 4 * wave * week + rng.uniform(0.2, 1.5) * _noise(rng, len(day), 0.3, step)


def _white(rng: np.random.Generator, day: FloatArray, _: int) -> FloatArray:
    """Nothing but noise around a level."""
    return 50 + rng.standard_normal(len(day))


def _tailed(rng: np.random.Generator, day: FloatArray, _: int) -> FloatArray:
    """Latency: a floor and a long upper tail."""
    return 5 + np.exp(rng.uniform(0.3, 0.9) * rng.standard_normal(len(day)))


def _wandering(rng: np.random.Generator, day: FloatArray, step: int) -> FloatArray:
    """A level that wanders over hours and days, with a little noise."""
    slow = _noise(rng, len(day), rng.uniform(6, 72), step)
    return 100 + 10 * slow + rng.uniform(0.2, 2) * rng.standard_normal(len(day))


def _bursty(rng: np.random.Generator, day: FloatArray, step: int) -> FloatArray:
    """A quiet machine with bursts of work."""
    busy = _noise(rng, len(day), rng.uniform(0.3, 1.5), step) > rng.uniform(0.8, 1.6)
    return 3 + 0.3 * rng.standard_normal(len(day)) + busy * rng.uniform(5, 30) * rng.uniform(0.6, 1.4, len(day))


def _counts(rng: np.random.Generator, day: FloatArray, _: int) -> FloatArray:
    """Small counts that follow the day."""
    rate = rng.uniform(1, 12) * (1.2 + np.sin(tau * (day + rng.random())))
    return rng.poisson(rate).astype(np.float64)


def _constant(rng: np.random.Generator, day: FloatArray, step: int) -> FloatArray:
    """Almost constant, in steps of the last digit."""
    return np.round(80 + rng.uniform(0.02, 0.2) * _noise(rng, len(day), 0.5, step), 1)


def _filling(rng: np.random.Generator, day: FloatArray, _: int) -> FloatArray:
    """Fills slowly and is emptied at once: a heap, a disk, a log."""
    period = rng.uniform(0.2, 1.5)
    level: FloatArray = (
        20 + 60 * ((day / period + rng.random()) % 1.0) + rng.uniform(0.5, 3) * rng.standard_normal(len(day))
    )
    return level


def _jobs(rng: np.random.Generator, day: FloatArray, _: int) -> FloatArray:
    """A daily job and an hourly one over a noisy floor."""
    start, length = rng.random(), rng.uniform(0.02, 0.08)
    daily = ((day - start) % 1.0) < length
    hourly = ((day * 24 - start) % 1.0) < 0.15
    level: FloatArray = 12 + rng.standard_normal(len(day)) + 30 * daily + rng.uniform(2, 8) * hourly
    return level


def _growing(rng: np.random.Generator, day: FloatArray, step: int) -> FloatArray:
    """Grows day by day, with a daily wave."""
    grown: FloatArray = 200 + rng.uniform(1, 8) * day + 3 * np.sin(tau * day)
    return grown + _noise(rng, len(day), 0.2, step)


_KINDS = (
    _daily,
    _white,
    _tailed,
    _wandering,
    _bursty,
    _counts,
    _daily,
    _constant,
    _filling,
    _jobs,
    _growing,
    _wandering,
    _daily,
)
