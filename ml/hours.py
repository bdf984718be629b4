"""What was ordinary for a series, hour by hour: a ring of seven days, and a fading mean of each hour of the week."""

from math import inf, isnan, nan

import numpy as np

from ml.compiled import compiled
from ml.memory import (
    HIGH_DECILE,
    HOUR,
    HOUR_COUNT,
    HOUR_HIGH,
    HOUR_LOW,
    HOUR_MEAN,
    HOURS,
    LOW_DECILE,
    MEDIAN,
    OLD_HIGH,
    OLD_LOW,
    RING_HIGH,
    RING_LOW,
    RING_MEAN,
    RING_WEEK,
    SEASON,
    SEASON_HIGH,
    SEASON_LOW,
    USUAL_HIGH,
    USUAL_LOW,
    WEEKLY,
    FloatArray,
)

DAYS = 7
# What happened at an hour on so many days at least may be usual then.
LEAST_DAYS = 2
# Share of the newest week in the mean of an hour of the week.
WEEK_GAIN = 0.4
# Extremes of the last hours belong to the event that is under way.
OLD_HOURS = 12


@compiled
def enter(now: FloatArray, value: float) -> None:
    """Take a sample into the open hour."""
    count = now[HOUR_COUNT] + 1.0
    now[HOUR_COUNT] = count
    now[HOUR_MEAN] += (value - now[HOUR_MEAN]) / count
    now[HOUR_HIGH] = value if count == 1.0 else max(now[HOUR_HIGH], value)
    now[HOUR_LOW] = value if count == 1.0 else min(now[HOUR_LOW], value)


@compiled
def forget(rings: FloatArray) -> None:
    """Empty rings."""
    rings[:] = nan


@compiled
def turn(now: FloatArray, rings: FloatArray, hour: int) -> None:
    """Close the open hour and open a later one: what is too old leaves, and what holds for the new hour is drawn."""
    _close(now, rings, hour)
    _draw_week(now, rings, hour)
    _draw_season(now, rings, hour)


@compiled
def _close(now: FloatArray, rings: FloatArray, hour: int) -> None:
    closed = int(now[HOUR])
    place = closed % HOURS
    rings[RING_MEAN, place] = now[HOUR_MEAN]
    rings[RING_HIGH, place] = now[HOUR_HIGH]
    rings[RING_LOW, place] = now[HOUR_LOW]
    if isnan(rings[RING_WEEK, place]):
        rings[RING_WEEK, place] = now[HOUR_MEAN]
    else:
        rings[RING_WEEK, place] += WEEK_GAIN * (now[HOUR_MEAN] - rings[RING_WEEK, place])
    for passed in range(closed + 1, hour):
        for ring in (RING_MEAN, RING_HIGH, RING_LOW):
            rings[ring, passed % HOURS] = nan
    now[HOUR] = hour
    now[HOUR_MEAN] = 0.0
    now[HOUR_COUNT] = 0.0


@compiled
def _draw_week(now: FloatArray, rings: FloatArray, hour: int) -> None:
    """Median and deciles of the hours, and the extremes of all but the last twelve."""
    known = np.empty(HOURS)
    count = 0
    high, low = -inf, inf
    for back in range(1, HOURS + 1):  # the place of the open hour still has the hour of a week ago
        place = (hour - back) % HOURS
        if not isnan(rings[RING_MEAN, place]):
            known[count] = rings[RING_MEAN, place]
            count += 1
            if back > OLD_HOURS:
                high = max(high, rings[RING_HIGH, place])
                low = min(low, rings[RING_LOW, place])
    known = np.sort(known[:count])
    now[MEDIAN] = middle(known)
    now[LOW_DECILE] = known[(count - 1) // 10]
    now[HIGH_DECILE] = known[count - 1 - (count - 1) // 10]
    now[OLD_HIGH] = high
    now[OLD_LOW] = low


@compiled
def _draw_season(now: FloatArray, rings: FloatArray, hour: int) -> None:
    """The median at this time of day, the extremes of the hours around it, and the mean of this hour of the week."""
    same, highs, lows = np.empty(DAYS), np.empty(DAYS), np.empty(DAYS)
    count = 0
    high, low = -inf, inf
    for day in range(1, DAYS + 1):
        found = nan
        for ahead in (0, -1, 1):  # this hour, else the one before it, else the one after
            back = 24 * day - ahead
            place = (hour - back) % HOURS
            if back > HOURS or isnan(rings[RING_MEAN, place]):
                continue
            if isnan(found):
                found = rings[RING_MEAN, place]
                highs[count], lows[count] = rings[RING_HIGH, place], rings[RING_LOW, place]
            high = max(high, rings[RING_HIGH, place])
            low = min(low, rings[RING_LOW, place])
        if not isnan(found):
            same[count] = found
            count += 1
    now[SEASON] = middle(np.sort(same[:count])) if count else nan
    now[SEASON_HIGH] = high
    now[SEASON_LOW] = low
    now[USUAL_HIGH] = middle(np.sort(highs[:count])) if count >= LEAST_DAYS else nan
    now[USUAL_LOW] = middle(np.sort(lows[:count])) if count >= LEAST_DAYS else nan
    now[WEEKLY] = rings[RING_WEEK, hour % HOURS]


@compiled
def middle(ordered: FloatArray) -> float:
    """Median of sorted numbers, of which there is one at least."""
    half = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[half])
    # Halves are added, since the sum of two large values may overflow.
    return float(0.5 * ordered[half - 1] + 0.5 * ordered[half])
