"""What is expected of a series in the next hours?  The best of four plain forecasts, by how each did lately.

They are the usual course of the day, the same with what is off at present fading out, the last hour going on, and the
last hour with the trend of a day. For the next hour, the next few and so on, the one is taken whose errors of the last
four days were least; the interval around it is what eight in ten of these errors stay within. So a disk that fills is
told from a load that follows the day, and nothing but the hourly means of the seasonal baseline is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan, sqrt

import numpy as np

from ml import memory as m
from ml.compiled import compiled
from ml.detectors.base import FloatArray
from ml.hours import middle
from ml.memory import Memory, recall

HOUR_S = 3_600.0
HORIZON = 48
# Hours ahead that are judged together: 1, 2 to 3, 4 to 6 and so on.
SPANS = np.array([0, 1, 3, 6, 12, 24, 49])
LOW, HIGH = 0.1, 0.9
DAY, DAYS = 24, 7
USUAL, DAILY, LASTING, TRENDING, NAIVE = range(5)
KINDS = 4
# Each third hour of the last four days is forecast from, to learn the errors.
_BACK, _STEP = 96, 3
_LEAST_ERRORS = 8
# What is off now is less so by this with each hour.
_FADES = 0.8
# The course of the day is left only for what was better by so much: the best of several by chance is no better.
_PREFERENCE = 1.15
# While no error is known, mean deviations from the last hour that an interval reaches to each side, an hour ahead.
_UNKNOWN = 2.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a series: the mean of each hour from `starts_at` on, and the interval around it.

    `level` is the smoothed value at `known_at`, the time of the newest sample; times are epoch seconds.
    """

    known_at: float
    level: float
    starts_at: float
    expected: list[float]
    low: list[float]
    high: list[float]


def forecasts(memories: Sequence[Memory]) -> list[Forecast | None]:
    """What is expected of each series in the 48 hours after the one that is open, by what is remembered of it.

    None where no hour was ever closed, or the memory has no rings.
    """
    states = recall(memories, "", np.zeros(0))
    made = np.empty((len(memories), 3, HORIZON))
    known = [
        has_rings and bool(_expect(now, rings, out))
        for has_rings, now, rings, out in zip(states.has_rings, states.now, states.rings, made, strict=True)
    ]
    return [
        Forecast(
            known_at=float(now[m.LAST_TIME]),
            level=float(now[m.LEVEL_HOUR]),
            starts_at=(float(now[m.HOUR]) + 1.0) * HOUR_S,
            expected=out[0].tolist(),
            low=out[1].tolist(),
            high=out[2].tolist(),
        )
        if is_known
        else None
        for is_known, now, out in zip(known, states.now, made, strict=True)
    ]


@compiled
def _expect(now: FloatArray, rings: FloatArray, out: FloatArray) -> bool:
    """Fill in expected, low and high of each hour; whether anything is known."""
    hours = np.empty(m.HOURS)
    for place in range(m.HOURS):  # oldest first; the place of the open hour still has the hour of a week ago
        hours[place] = rings[m.RING_MEAN, (int(now[m.HOUR]) + place) % m.HOURS]
    return expect(hours, now[m.LEVEL_HOUR], now[m.RESTLESS_2D], 1, out)


@compiled
def expect(hours: FloatArray, level: float, restless: float, skipped: int, out: FloatArray) -> bool:
    """Fill in expected, low and high, shape (3, hours ahead), from hourly means, oldest first, NaN where none is.

    `level` stands in for the last hour where that is unknown, `restless` is the usual distance from it, and so many
    hours after the last are `skipped`. False when no hour is known.
    """
    ahead = out.shape[1]
    last = len(hours) - 1
    first = 0
    while first <= last and isnan(hours[first]):
        first += 1
    if first > last:
        return False
    guesses = np.empty((KINDS + 1, ahead + skipped))
    begin = max(last - _BACK, first + 2)
    origins = max((last - begin + _STEP - 1) // _STEP, 0)
    errors = np.full((KINDS, ahead + skipped, max(origins, 1)), nan)
    for number in range(origins):
        origin = begin + number * _STEP
        guess(hours, origin, hours[origin], guesses)
        for hour in range(min(ahead + skipped, last - origin)):
            for kind in range(KINDS):
                errors[kind, hour, number] = hours[origin + 1 + hour] - guesses[kind, hour]
    guess(hours, last, hours[last] if not isnan(hours[last]) else level, guesses)
    _choose(guesses, errors, restless, skipped, out)
    return True


@compiled
def _choose(guesses: FloatArray, errors: FloatArray, restless: float, skipped: int, out: FloatArray) -> None:
    """Of each span the forecast that did best, and the interval of its errors."""
    best, below, above = DAILY, -_UNKNOWN * restless, _UNKNOWN * restless
    for span in range(len(SPANS) - 1):
        start, end = SPANS[span], min(SPANS[span + 1], guesses.shape[1])
        if start >= end:
            break
        least = inf
        for kind in range(KINDS):
            known = _known(errors[kind, start:end])
            if len(known) >= _LEAST_ERRORS:
                size = np.abs(known).mean() * (1.0 if kind <= DAILY else _PREFERENCE)
                if size < least:
                    least, best = size, kind
        known = _known(errors[best, start:end])
        if len(known) >= _LEAST_ERRORS:
            ordered = np.sort(known)
            # Later hours are not surer: what says so is that few errors were seen.
            below = min(ordered[int(LOW * (len(ordered) - 1))], below if span else 0.0)
            above = max(ordered[int(HIGH * (len(ordered) - 1) + 0.5)], above if span else 0.0)
        elif span > 0:
            # An error that was never seen grows as that of a walk at random.
            wider = sqrt(float(SPANS[span + 1]) / float(SPANS[span]))
            below, above = below * wider, above * wider
        for hour in range(max(start, skipped), end):
            value = guesses[best, hour]
            out[0, hour - skipped] = value
            out[1, hour - skipped] = value + below
            out[2, hour - skipped] = value + above


@compiled
def _known(errors: FloatArray) -> FloatArray:
    flat = errors.ravel()
    return flat[~np.isnan(flat)]


@compiled
def guess(hours: FloatArray, origin: int, level: float, guesses: FloatArray) -> None:
    """Fill in what each plain forecast says of the hours after `origin`, shape (KINDS + 1, hours ahead).

    The last one is the naive seasonal forecast, the value of a day before, to compare with.
    """
    if isnan(level):
        level = _latest(hours, origin)
    same = np.empty(DAYS)
    usual = _usual(hours, origin, origin, same)
    off = 0.0 if isnan(usual) else level - usual
    slope = _slope(hours, origin)
    for ahead in range(1, guesses.shape[1] + 1):
        days = (ahead - 1) // DAY + 1
        off *= _FADES
        usual = _usual(hours, origin, origin + ahead, same)
        guesses[USUAL, ahead - 1] = level if isnan(usual) else usual
        guesses[DAILY, ahead - 1] = level if isnan(usual) else usual + off
        guesses[LASTING, ahead - 1] = level
        guesses[TRENDING, ahead - 1] = level + slope * ahead
        before = origin + ahead - DAY * days
        is_there = before >= 0 and not isnan(hours[before])
        guesses[NAIVE, ahead - 1] = hours[before] if is_there else level


@compiled
def _latest(hours: FloatArray, origin: int) -> float:
    for place in range(origin, -1, -1):
        if not isnan(hours[place]):
            return float(hours[place])
    return nan


@compiled
def _usual(hours: FloatArray, origin: int, hour: int, same: FloatArray) -> float:
    """The median at this time of day, of the days before that `origin` knows; NaN when it was never seen."""
    count = 0
    for day in range(max(1, (hour - origin - 1) // DAY + 1), DAYS + 1):
        place = hour - DAY * day
        if 0 <= place < len(hours) and not isnan(hours[place]):
            same[count] = hours[place]
            count += 1
    return middle(np.sort(same[:count])) if count else nan


@compiled
def _slope(hours: FloatArray, origin: int) -> float:
    """The median slope an hour between any two hours of the last day; 0 when too few are known.

    Source: Sen (1968), Estimates of the Regression Coefficient Based on Kendall's Tau.
    """
    slopes = np.empty(DAY * (DAY - 1) // 2)
    count = 0
    for early in range(max(origin - DAY + 1, 0), origin + 1):
        for late in range(early + 1, origin + 1):
            slope = (hours[late] - hours[early]) / (late - early)
            if not isnan(slope):
                slopes[count] = slope
                count += 1
    return middle(np.sort(slopes[:count])) if count >= 3 else 0.0
