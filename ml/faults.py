"""What do broken series look like?  Synthetic faults put into real history, to measure a model with."""

from collections.abc import Callable

import numpy as np

from ml.detectors.base import FloatArray

Fault = Callable[[np.random.Generator, FloatArray, float], FloatArray]


def spike(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """A few samples far off."""
    out = part.copy()
    out[: int(rng.integers(1, 4))] += rng.choice([-1.0, 1.0]) * rng.uniform(2.0, 5.0) * spread
    return out


def level_shift(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """All samples moved by the same."""
    return part + float(rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 3.0)) * spread


def variance(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """The same level, but restless."""
    return part + rng.uniform(0.75, 2.0) * spread * rng.standard_normal(len(part))


def drop_to_zero(_: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """Nothing comes any more; where that is ordinary, less than nothing."""
    ordinary = bool(np.median(np.abs(part)) < spread)
    return np.full(len(part), -2.0 * spread if ordinary else 0.0)


def stuck(_: np.random.Generator, part: FloatArray, __: float) -> FloatArray:
    """The first value for ever."""
    return np.full(len(part), part[0])


FAULTS: dict[str, Fault] = {
    "spike": spike,
    "level_shift": level_shift,
    "variance": variance,
    "drop_to_zero": drop_to_zero,
    "stuck": stuck,
}


def spread_of(values: FloatArray) -> float:
    """10 to 90 % of the values; of a constant series a tenth of its level, of an empty one 1."""
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low) or abs(float(np.median(values))) / 10.0 or 1.0
