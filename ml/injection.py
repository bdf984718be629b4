"""What do broken series look like?  Synthetic faults put into real history, to measure a model with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.detectors.base import FloatArray

# Samples that a fault lasts.
SHORTEST, LONGEST = 12, 36

Fault = Callable[[np.random.Generator, FloatArray, float], FloatArray]


@dataclass(frozen=True, slots=True)
class Injected:
    """A stretch of a series up to the end of a fault in it: the fault is from `start` to the end."""

    kind: str
    values: FloatArray
    start: int


def inject(values: FloatArray, spread: float, seed: Sequence[int]) -> list[Injected]:
    """The values with one fault, once for each kind; each at a place of its own, the same for the same seed.

    `spread` is the yardstick for sizes, more than 0. What comes after a fault is cut off, since it tells nothing of it.
    Raises ValueError when there are fewer values than two of the longest fault.
    """
    if len(values) < 2 * LONGEST:
        raise ValueError(f"{len(values)} values, {2 * LONGEST} are needed")
    return [_injected(values, spread, [*seed, number], kind) for number, kind in enumerate(KINDS)]


def spread_of(values: FloatArray) -> float:
    """10 to 90 % of the values; of a constant series a tenth of its level, of an empty one 1."""
    low, high = np.quantile(values, [0.1, 0.9]) if len(values) else (0.0, 0.0)
    return float(high - low) or abs(float(np.median(values)) if len(values) else 0.0) / 10.0 or 1.0


def _injected(values: FloatArray, spread: float, seed: list[int], kind: str) -> Injected:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(SHORTEST, LONGEST))
    start = int(rng.integers(0, len(values) - length))
    part = FAULTS[kind](rng, values[start : start + length], spread)
    return Injected(kind, np.concatenate([values[:start], part]), start)


def _spike(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """A few samples far off."""
    out = part.copy()
    out[: int(rng.integers(1, 4))] += rng.choice([-1.0, 1.0]) * rng.uniform(2.0, 5.0) * spread
    return out


def _level_shift(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """All samples moved by the same."""
    return part + float(rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 3.0)) * spread


def _variance(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """The same level, but restless."""
    return part + rng.uniform(0.75, 2.0) * spread * rng.standard_normal(len(part))


def _trend(rng: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """Farther off with each sample: a leak."""
    end = float(rng.choice([-1.0, 1.0]) * rng.uniform(2.0, 5.0)) * spread
    return part + np.linspace(0.0, end, len(part) + 1)[1:]


def _drop_to_zero(_: np.random.Generator, part: FloatArray, spread: float) -> FloatArray:
    """Nothing comes any more; where that is ordinary, less than nothing."""
    ordinary = bool(np.median(np.abs(part)) < spread)
    return np.full(len(part), -2.0 * spread if ordinary else 0.0)


def _stuck(_: np.random.Generator, part: FloatArray, __: float) -> FloatArray:
    """The first value for ever."""
    return np.full(len(part), part[0])


# Each makes of a part of a series, and of the spread of the whole, the part with the fault.
FAULTS: dict[str, Fault] = {
    "spike": _spike,
    "level_shift": _level_shift,
    "variance": _variance,
    "trend": _trend,
    "drop_to_zero": _drop_to_zero,
    "stuck": _stuck,
}
KINDS = tuple(FAULTS)
