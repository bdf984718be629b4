"""How do samples of any spacing, as a database keeps them, become the arrays of an incident?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.rootcause.incident import Alert, Edge, FloatArray, Incident


@dataclass(frozen=True)
class Samples:
    """One series: times (epoch seconds, any order and spacing) and values."""

    service: str
    metric: str
    times: FloatArray
    values: FloatArray


def incident_from_samples(
    samples: Sequence[Samples],
    start: float,
    *,
    step: float | None = None,
    alert: Alert | None = None,
    calls: tuple[Edge, ...] = (),
) -> Incident:
    """Samples laid on a common grid, so that ``start`` is the beginning of a cell; the median of a cell counts.

    Without ``step`` the grid is as coarse as the median series: finer ones are folded, coarser ones leave holes.
    Raises ValueError when no series has a sample.
    """
    filled = [s for s in samples if len(s.times)]
    if not filled:
        raise ValueError("no series has a sample")
    width = step or _usual_spacing(filled)
    low = min(float(s.times.min()) for s in filled)
    high = max(float(s.times.max()) for s in filled)
    first = math.floor((low - start) / width)
    count = math.floor((high - start) / width) - first + 1
    values = np.full((count, len(filled)), np.nan)
    for column, series in enumerate(filled):
        cells = np.floor((series.times - start) / width).astype(np.int64) - first
        values[:, column] = _cell_medians(cells, series.values, count)
    return Incident(
        times=np.asarray(start + (first + np.arange(count)) * width, dtype=np.float64),
        values=values,
        series=tuple((s.service, s.metric) for s in filled),
        start=start,
        alert=alert,
        calls=calls,
    )


def _usual_spacing(samples: Sequence[Samples]) -> float:
    spacings = [float(np.median(np.diff(np.sort(s.times)))) for s in samples if len(s.times) > 1]
    positive = [spacing for spacing in spacings if spacing > 0]
    return float(np.median(positive)) if positive else 60.0


def _cell_medians(cells: NDArray[np.int64], values: FloatArray, count: int) -> FloatArray:
    found = np.full(count, np.nan)
    finite = np.isfinite(values)
    cells, values = cells[finite], values[finite]
    if not len(cells):
        return found
    order = np.lexsort((values, cells))
    cells, values = cells[order], values[order]
    names, starts, sizes = np.unique(cells, return_index=True, return_counts=True)
    found[names] = values[starts + (sizes - 1) // 2] / 2 + values[starts + sizes // 2] / 2
    return found
