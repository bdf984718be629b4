"""How good are the forecasts?  By pinball loss, beside the naive seasonal forecast: what was a day before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan

import numpy as np

from ml.compiled import compiled
from ml.detectors.base import FloatArray
from ml.forecast import HIGH, HORIZON, HOUR_S, KINDS, LOW, NAIVE, expect, guess
from ml.memory import HOURS

# Each eleventh hour is forecast from, so that all times of the day are.
_STEP, _BEGIN = 11, 48


@dataclass(frozen=True, slots=True)
class ForecastEvaluation:
    """Mean pinball loss of the 10, 50 and 90 % quantiles, in the unit of the series."""

    loss: float
    naive_loss: float  # of the naive seasonal forecast, whose interval is that of its errors over the week before
    covered: float  # share of the hours within the interval; four in five are meant to be
    hours: int  # that were forecast

    @property
    def ratio(self) -> float:
        """Loss as a share of the naive one: below 1 is better; 1 when both are perfect."""
        if self.naive_loss == 0.0:
            return 1.0 if self.loss == 0.0 else inf
        return self.loss / self.naive_loss


def evaluate_forecasts(times: Sequence[float], values: Sequence[float], ahead: int = HORIZON) -> ForecastEvaluation:
    """Forecast a series again and again from what was known, and compare with what came.

    Samples are in order of time. Without two days and an hour of them nothing is forecast.
    """
    sums = np.zeros(4)
    _evaluate(hourly(times, values), ahead, sums)
    loss, naive_loss, covered, hours = sums.tolist()
    count = max(hours, 1.0)
    return ForecastEvaluation(loss / count, naive_loss / count, covered / count, int(hours))


def hourly(times: Sequence[float], values: Sequence[float]) -> FloatArray:
    """Means of each hour from the first to the last sample; NaN where there is none."""
    if not len(times):
        return np.zeros(0)
    hours = np.floor(np.asarray(times, dtype=np.float64) / HOUR_S).astype(np.int64)
    places = hours - hours[0]
    counts = np.bincount(places)
    sums = np.bincount(places, weights=np.asarray(values, dtype=np.float64))
    means: FloatArray = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return means


@compiled
def _evaluate(hours: FloatArray, ahead: int, sums: FloatArray) -> None:
    """Add up losses, covered hours and hours."""
    out, guesses, week = np.empty((3, ahead)), np.empty((KINDS + 1, ahead)), np.empty((3, ahead))
    for origin in range(_BEGIN, len(hours) - 1, _STEP):
        if isnan(hours[origin]):
            continue
        known = hours[max(origin - HOURS + 1, 0) : origin + 1]
        if not expect(known, known[-1], 0.0, 0, out):
            continue
        guess(known, len(known) - 1, known[-1], guesses)
        _naive_interval(known, guesses[NAIVE], week)
        for hour in range(min(ahead, len(hours) - 1 - origin)):
            value = hours[origin + 1 + hour]
            if isnan(value):
                continue
            sums[0] += _pinball(value, out[:, hour])
            sums[1] += _pinball(value, week[:, hour])
            sums[2] += 1.0 if out[1, hour] <= value <= out[2, hour] else 0.0
            sums[3] += 1.0


@compiled
def _naive_interval(known: FloatArray, naive: FloatArray, out: FloatArray) -> None:
    """The naive forecast with the deciles of the differences from day to day."""
    differences = known[24:] - known[:-24]
    differences = np.sort(differences[~np.isnan(differences)])
    count = len(differences)
    below = min(differences[int(LOW * (count - 1))], 0.0) if count else 0.0
    above = max(differences[int(HIGH * (count - 1) + 0.5)], 0.0) if count else 0.0
    out[0], out[1], out[2] = naive, naive + below, naive + above


@compiled
def _pinball(value: float, forecast: FloatArray) -> float:
    """Mean loss of expected (50 %), low and high."""
    loss = 0.5 * abs(value - forecast[0])
    for quantile, guessed in ((LOW, forecast[1]), (HIGH, forecast[2])):
        off = value - guessed
        loss += max(quantile * off, (quantile - 1.0) * off)
    return float(loss / 3.0)
