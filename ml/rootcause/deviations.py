"""How far is each sample from what is usual for its series, in the series' own robust units?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.rootcause.arrays import fold, neighbours, quantiles
from ml.rootcause.calls import call_columns, callees_of, transit_columns, with_ratios
from ml.rootcause.incident import INDICATOR_SERVICES, BoolArray, Edge, FloatArray, Incident, Settings
from ml.rootcause.kinds import LOST_CALLS, TRANSIT, direction_of, kind_of


def _scale(reference: FloatArray, success: BoolArray, settings: Settings) -> tuple[FloatArray, FloatArray]:
    """Centre and scale of each series: the largest of several estimates, so that a quiet metric cannot shout.

    Values are shares of the largest value that the series has anywhere.
    """
    p01, q25, centre, q75, p99 = quantiles(reference, (0.01, 0.25, 0.5, 0.75, 0.99))
    mad = quantiles(np.abs(reference - centre), (0.5,))[0]
    finite = np.isfinite(reference)
    count = np.maximum(finite.sum(axis=0), 1)
    # around the median and within the outer percentiles: one wild sample in the reference must not hide an incident
    inner = np.where(finite, np.clip(reference, p01, p99) - centre, 0.0)
    sigma = np.sqrt((inner**2).sum(axis=0) / count)
    top = np.maximum(quantiles(np.abs(reference), (1.0,))[0], 0.0)
    floor = np.where(centre == 0, settings.floor_maximum, settings.floor_median * np.abs(centre))
    floor = np.where(success, settings.floor_failures * np.where(top > 0, top, 1.0), floor)
    scale = np.max([(q75 - q25) / 1.349, 1.4826 * mad, sigma / 2, (p99 - p01) / 6, floor], axis=0)
    return centre, np.where(scale > 0, scale, np.inf)


@dataclass(frozen=True)
class Prepared:
    reference: FloatArray  # log-compressed deviations, one row per point
    incident: FloatArray
    raw_reference: FloatArray  # folded values
    raw_incident: FloatArray
    kinds: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]  # (service, metric); after the incident's series those of the call ratios
    callees: Mapping[str, frozenset[str]]
    ratios: tuple[Edge, ...]  # (caller, callee) of each call ratio, at the end of the columns


def _compress(
    values: FloatArray, centre: FloatArray, scale: FloatArray, directions: NDArray[np.int64], cap: float
) -> FloatArray:
    """log(1 + deviation in scales), only in the bad direction where there is one; NaN where there is no sample."""
    shift = np.clip((values - centre) / scale, -cap, cap)
    shift = np.where(directions == 0, np.abs(shift), np.maximum(shift * directions, 0.0))
    return np.asarray(np.log1p(shift), dtype=np.float64)


def _fill(deviations: FloatArray, coverage: FloatArray) -> FloatArray:
    """A sample that a steady series lacks is like its neighbours; what a sparse series lacks is mostly nothing."""
    filled = np.nan_to_num(neighbours(deviations))
    return np.asarray(np.where(np.isfinite(deviations), filled, filled * coverage), dtype=np.float64)


def _split(incident: Incident, settings: Settings) -> tuple[FloatArray, FloatArray, float]:
    """Folded reference and incident rows and seconds per point."""
    first = int(np.searchsorted(incident.times, incident.start, side="left"))
    rows = len(incident.times)
    first = min(max(first, 1), rows - 1)  # at least the oldest row is reference, the newest incident
    step = float(np.median(np.diff(incident.times)))
    size = max(1, math.ceil((rows - first) / settings.max_points))
    if first < 3 * size:  # a reference too short to fold
        size = 1
    values = np.where(np.isfinite(incident.values), incident.values, np.nan)
    return fold(values[:first], size), fold(values[first:], size), max(step, 1e-9) * size


def prepare(incident: Incident, settings: Settings) -> Prepared:
    before, after, step = _split(incident, settings)
    names = [kind_of(metric) for _, metric in incident.series]
    callees = callees_of(incident, {service for service, _ in incident.series} - INDICATOR_SERVICES)
    ratios = call_columns(incident.series, names, callees)
    transits = transit_columns(incident.series, names)
    pairs = [*transits, *ratios.values()]
    before, after = with_ratios(before, pairs), with_ratios(after, pairs)
    labels = (
        *incident.series,
        *(incident.series[seen] for _, seen in transits),
        *((caller, incident.series[up][1]) for (caller, _), (up, _) in ratios.items()),
    )
    kinds = (*names, *(TRANSIT for _ in transits), *(LOST_CALLS for _ in ratios))
    directions = np.array(
        [*(direction_of(metric) for _, metric in incident.series), *(1 for _ in transits), *(-1 for _ in ratios)],
        dtype=np.int64,
    )
    success = np.array([kind == "success" for kind in kinds], dtype=np.bool_)
    peak = quantiles(np.abs(np.vstack([before, after])), (1.0,))[0]
    peak = np.where(peak > 0, peak, 1.0)
    before, after = before / peak, after / peak  # units go here

    def deviations(guard: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        kept = before[: len(before) - guard] if guard else before
        centre, scale = _scale(kept, success, settings)
        coverage = np.isfinite(kept).mean(axis=0) if len(kept) else np.ones(kept.shape[1])
        found = _fill(_compress(np.vstack([before, after]), centre, scale, directions, settings.cap), coverage)
        return found[: len(kept)], found[len(kept) : len(before)], found[len(before) :]

    guard = int(min(math.ceil(settings.guard_s / step), settings.guard_share * len(before)))
    kept, late, rest = deviations(guard)
    minute = min(math.ceil(settings.early_s / step), guard)
    early = max(_rows_before_start(kept, late, settings, step), minute)
    if early > minute:  # the start was late: what came before it belongs to the incident
        guard = max(guard, min(early + guard, len(before) // 2))
        kept, late, rest = deviations(guard)
        early = min(early, len(late))
    cut = len(before) - early
    found = np.vstack([late[len(late) - early :], rest]) if early else rest
    raw = np.vstack([before[cut:], after]) if early else after
    return Prepared(kept, found, before[: len(before) - guard], raw, kinds, labels, callees, tuple(ratios))


def _rows_before_start(kept: FloatArray, late: FloatArray, settings: Settings, step: float) -> int:
    """How many rows just before the start belong to the incident: back while the summed deviation stays high."""
    if len(kept) < 20 or not len(late):
        return 0
    usual = np.sort(_loudness(kept))
    limit = 2 * usual[-1] - usual[len(usual) // 2]  # twice as far from the median as the reference ever was
    rows = np.concatenate([_loudness(kept), _loudness(late)])
    reach = min(int(settings.lookback_s / step), len(kept) // 2 + len(late))
    early = 0
    while early < reach and rows[len(rows) - 1 - early] > limit:
        early += 1
    return early if early < reach else 0


def _loudness(deviations: FloatArray) -> FloatArray:
    """Summed deviation of each row, only what is beyond two scales."""
    return np.asarray(np.maximum(deviations - math.log(3.0), 0.0).sum(axis=1), dtype=np.float64)
