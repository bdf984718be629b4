"""Quantiles, medians of groups and means of runs, column by column, over values with holes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.rootcause.incident import FloatArray


def quantiles(values: FloatArray, shares: Sequence[float]) -> list[FloatArray]:
    """Quantiles of each column over its finite values (0 where a column has none)."""
    ordered = np.sort(values, axis=0)  # NaN goes last
    last = np.maximum(np.isfinite(values).sum(axis=0) - 1, 0)
    columns = np.arange(values.shape[1])
    found: list[FloatArray] = []
    for share in shares:
        place = share * last
        low = place.astype(np.int64)
        part = place - low
        high = np.minimum(low + 1, last)
        found.append(np.nan_to_num(ordered[low, columns] * (1 - part) + ordered[high, columns] * part))
    return found


def fold(values: FloatArray, size: int) -> FloatArray:
    """Medians of groups of ``size`` rows; the oldest rows that fill no group are left out."""
    rows = len(values) // size * size
    if size == 1 or rows == 0:
        return values
    groups = values[len(values) - rows :].reshape(-1, size, values.shape[1])
    ordered = np.sort(groups, axis=1)
    count = np.isfinite(groups).sum(axis=1)
    low = np.maximum(count - 1, 0) // 2
    high = np.minimum(count // 2, size - 1)
    pick = np.take_along_axis(ordered, np.stack([low, high], axis=1), axis=1)
    return np.asarray(pick.mean(axis=1), dtype=np.float64)


def neighbours(values: FloatArray) -> FloatArray:
    """NaN replaced by the mean of the nearest samples before and after; NaN stays where a column has none."""
    missing = ~np.isfinite(values)
    if not missing.any():
        return values
    rows = np.arange(len(values))[:, None]
    before = np.maximum.accumulate(np.where(missing, -1, rows), axis=0)
    after = np.minimum.accumulate(np.where(missing, len(values), rows)[::-1], axis=0)[::-1]
    columns = np.arange(values.shape[1])
    left = np.where(before >= 0, values[np.maximum(before, 0), columns], np.nan)
    right = np.where(after < len(values), values[np.minimum(after, len(values) - 1), columns], np.nan)
    mean = np.where(np.isfinite(left), np.where(np.isfinite(right), (left + right) / 2, left), right)
    return np.asarray(np.where(missing, mean, values), dtype=np.float64)


def stretches(deviations: FloatArray, length: int) -> FloatArray:
    """Means over every run of ``length`` rows."""
    total = np.vstack([np.zeros((1, deviations.shape[1])), np.cumsum(deviations, axis=0)])
    return np.asarray((total[length:] - total[:-length]) / length, dtype=np.float64)
