"""What would explain a sample, and how far is it from that?"""

from math import isnan

from ml import memory as m
from ml.compiled import compiled
from ml.memory import FloatArray

# A constant series has no spread of its own: a move by a thousandth of its value counts as ten spreads.
SPREAD_OF_LEVEL = 1e-4
# While less is known, a sample counts in its own yardstick, or the first move of a series would be beyond measure.
YOUNG_SAMPLES = 50.0
SMALLEST_SPREAD = 1e-300
# What half of the days reach at an hour is usual, give or take so many spreads.
USUAL_MARGIN = 0.5


@compiled
def spread(now: FloatArray, size: float) -> float:
    """The yardstick of the series, more than 0; `size` is what the last hour does not explain of the sample.

    A lasting shift is inside the deciles of a week after 17 hours, and then it is ordinary.
    """
    restless = now[m.RESTLESS_2D]
    if now[m.SAMPLES] < YOUNG_SAMPLES:
        restless += (size - restless) / (now[m.SAMPLES] + 1.0)
    known = not isnan(now[m.MEDIAN])
    width = now[m.HIGH_DECILE] - now[m.LOW_DECILE] if known else 0.0
    return float(max(width, SPREAD_OF_LEVEL * abs(level(now)), 2.0 * restless, SMALLEST_SPREAD))


@compiled
def level(now: FloatArray) -> float:
    """The median of the week, until there is one the mean of the day."""
    return float(now[m.LEVEL_DAY] if isnan(now[m.MEDIAN]) else now[m.MEDIAN])


@compiled
def surprise(now: FloatArray, value: float) -> float:
    """Distance from the better of two explanations: the last hour, and the limits of this hour on other days."""
    off_hour = value - now[m.LEVEL_HOUR]
    if isnan(now[m.SEASON]):
        return float(off_hour)
    off_band = beyond(value, now[m.SEASON_LOW], now[m.SEASON_HIGH])
    return float(off_band if abs(off_band) < abs(off_hour) else off_hour)


@compiled
def off_season(now: FloatArray, value: float) -> float:
    """Distance from what is usual at this hour of the day, or of the week, whichever is nearer."""
    off = value - (level(now) if isnan(now[m.SEASON]) else now[m.SEASON])
    if not isnan(now[m.WEEKLY]):
        off_week = value - now[m.WEEKLY]
        if abs(off_week) < abs(off):
            off = off_week
    return float(off)


@compiled
def novelty(now: FloatArray, value: float) -> float:
    """Distance beyond the extremes of the week before the last twelve hours; 0 between them."""
    if isnan(now[m.OLD_HIGH]) or now[m.OLD_HIGH] < now[m.OLD_LOW]:
        return float(value - now[m.LEVEL_HOUR])
    return beyond(value, now[m.OLD_LOW], now[m.OLD_HIGH])


@compiled
def is_usual(now: FloatArray, value: float, width: float) -> bool:
    """Whether half of the days reach as far at this hour, on either side; never while fewer than two are known."""
    margin = USUAL_MARGIN * width
    return bool(now[m.USUAL_LOW] - margin <= value and value <= now[m.USUAL_HIGH] + margin)


@compiled
def expected(now: FloatArray, width: float) -> tuple[float, float]:
    """Where a sample is expected: around the last hour and this hour on other days."""
    low = high = level(now)
    if not isnan(now[m.SEASON]):
        low, high = now[m.SEASON_LOW], now[m.SEASON_HIGH]
    return min(low, now[m.LEVEL_HOUR]) - 0.5 * width, max(high, now[m.LEVEL_HOUR]) + 0.5 * width


@compiled
def beyond(value: float, low: float, high: float) -> float:
    """Signed distance outside of two limits; 0 between them."""
    if value > high:
        return value - high
    return value - low if value < low else 0.0
