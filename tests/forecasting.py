"""What the forecasts must show on recorded series of other systems, and what they cost."""

from __future__ import annotations

import time
from math import isfinite
from pathlib import Path
from statistics import fmean

from ml.builtin import builtin_model
from ml.forecast import forecasts
from ml.forecast_evaluation import ForecastEvaluation, evaluate_forecasts
from ml.ordinary import ordinary_series
from ml.scoring import Unscored, score_batch
from tasks.replay import read

MOST_OF_NAIVE = 0.9
LEAST_COVERED, MOST_COVERED = 0.7, 0.9
SERIES = 10_000
MOST_CPU_S = 60.0


def better_than_naive(suite: Path) -> str:
    """On the series of a suite the pinball loss is nine tenths of the naive seasonal forecast's or less."""
    # A series without noise is the same each day: where the naive forecast is never wrong, none can be better.
    found = [one for path in sorted(suite.rglob("*.csv")) if (one := _evaluated(path)).naive_loss > 0.0]
    ratio, covered = fmean(one.ratio for one in found), fmean(one.covered for one in found)
    told = f"{ratio:.3f} of the naive loss, {covered:.0%} within the interval, {len(found)} series"
    assert ratio <= MOST_OF_NAIVE, told
    assert LEAST_COVERED <= covered <= MOST_COVERED, told
    return told


def cheap(series: int = SERIES) -> str:
    """The forecasts of so many series, made once an hour, take a minute of one core at most."""
    generated = [Unscored(times, values) for times, values in ordinary_series(seed=1, rounds=1)]
    memories = [scored.memory for scored in score_batch(builtin_model("seasonal_baseline"), generated)]
    many = [memories[number % len(memories)] for number in range(series)]
    forecasts(memories)
    began = time.process_time()
    made = [one for start in range(0, series, 64) for one in forecasts(many[start : start + 64])]
    took_s = time.process_time() - began
    told = f"{took_s:.1f} s of one core an hour for {series:,} series"
    assert None not in made
    assert took_s <= MOST_CPU_S, told
    return told


def _evaluated(path: Path) -> ForecastEvaluation:
    seconds: list[float] = []
    values: list[float] = []
    for row in read(path):
        if isfinite(row.value) and (not seconds or row.at_s > seconds[-1]):
            seconds.append(row.at_s)
            values.append(row.value)
    return evaluate_forecasts(seconds, values)
