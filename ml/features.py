"""What is telling about a sample?  Causal figures without unit, computed one sample at a time.

Differences from what would explain the sample are divided by a trailing spread, which makes them sizes; `rarity` makes
the sizes of different series compare. All arithmetic is sequential, so a series has the same figures to the last bit
however its samples are cut into batches.
"""

from collections.abc import Iterator, Sequence
from math import copysign, exp, floor, log, log1p, nan
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml import explained, hours, pace, rarity
from ml import memory as m
from ml.compiled import compiled
from ml.memory import FloatArray, States

State = Literal["warming_up", "scoring", "stale"]
STATES: tuple[State, ...] = ("warming_up", "scoring", "stale")

FEATURE_NAMES = (
    "surprise",  # against what explains the sample best: the last hour, or the limits of this hour on other days
    "seasonal",  # against what is usual at this hour of the day, or of the week
    "seasonal_hour",  # the same, averaged over an hour,
    "seasonal_4h",  # over four hours,
    "seasonal_12h",  # and over twelve
    "departure",  # against the last hour
    "volatility",  # restlessness of the last four hours against that of the week
    "volatility_day",  # of the last day against that of the week
    "novelty",  # beyond the extremes of the week
    "frozen",  # doublings by which equal values last longer than ever lately
)
# Columns of the figures: the features first, signed logarithms of sizes or ratios, then what is made of them.
SURPRISE, SEASONAL, SEASONAL_HOUR, SEASONAL_4H, SEASONAL_12H = range(5)
DEPARTURE, VOLATILITY, VOLATILITY_DAY, NOVELTY, FROZEN = range(5, 10)
RARE_SURPRISE, RARE_SEASONAL, RARE_SEASONAL_HOUR, RARE_DEPARTURE, RARE_VOLATILITY = range(10, 15)
# USUAL says whether half of the days go as far at this hour; LOW and HIGH say where the sample was expected.
HELD, HELD_NOVELTY, LASTING, WARMTH, STATE, BEGINS, FADE, USUAL, LOW, HIGH = range(15, 25)
FIGURES = 25
# Samples whose figures are made at a time where only some of them are kept: about 1.6 MB.
CHUNK = 8_192

# Differences of values up to this size, and sums of a few of them, stay finite.
LARGEST_VALUE = 1e300
LARGEST_RATIO = 1e12
# Residuals below this share of the spread count as none when volatilities are compared.
QUIET_SHARE = 0.02
# Histograms forget within this time. A sample weighs one, and less when samples come faster than this.
FADE_S = 28 * pace.DAY_S
FULL_WEIGHT_S = 300.0
# New weights grow so that old ones need not shrink with each sample, until they have grown so far.
MOST_GROWTH = 1e4
HELD_S = 16 * pace.HOUR_S
LASTING_S = 12 * pace.HOUR_S


def figures_of(states: States, starts: npt.NDArray[np.int64], times: FloatArray, values: FloatArray) -> FloatArray:
    """Figures of the next samples of several series, shape (samples, FIGURES); the states move on.

    The samples of series n are those from `starts[n]` to `starts[n + 1]`, later than its last one, strictly
    increasing, and finite.
    Raises ValueError when an hour ends in a series whose rings are not there.
    """
    figures = np.empty((len(times), FIGURES))
    without = _advance_all(states.now, states.sizes, states.rings, states.has_rings, starts, times, values, figures)
    if without >= 0:
        raise ValueError(f"an hour of series {without} ends, and its rings are not there")
    return figures


def figures_in_chunks(times: Sequence[float], values: Sequence[float]) -> Iterator[FloatArray]:
    """Figures of a whole series, oldest first, in arrays of shape (CHUNK at most, FIGURES)."""
    states = m.recall([None], "", np.zeros(0))
    for first in range(0, len(times), CHUNK):
        at = np.asarray(times[first : first + CHUNK], dtype=np.float64)
        of = np.asarray(values[first : first + CHUNK], dtype=np.float64)
        yield figures_of(states, np.array([0, len(at)], dtype=np.int64), at, of)


def needs_rings(hot: bytes | None, time: float) -> bool:
    """Whether an hour of the series ends with a sample of this time, so that its rings are needed."""
    hour = None if hot is None else m.open_hour(hot)
    return hour is not None and hour != floor(time / pace.HOUR_S)


@compiled
def _advance_all(
    now: FloatArray,
    sizes: npt.NDArray[np.float32],
    rings: FloatArray,
    has_rings: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    times: FloatArray,
    values: FloatArray,
    figures: FloatArray,
) -> int:
    """Fill in the figures; the number of the first series whose rings were missed, else -1."""
    for series in range(len(now)):
        for sample in range(starts[series], starts[series + 1]):
            value = min(max(values[sample], -LARGEST_VALUE), LARGEST_VALUE) + 0.0
            hour = floor(times[sample] / pace.HOUR_S)
            of_series = now[series]
            begins = of_series[m.SAMPLES] == 0.0 or hour - of_series[m.HOUR] > m.HOURS
            if (begins or hour != of_series[m.HOUR]) and not has_rings[series]:
                return series
            if begins:
                _begin(of_series, times[sample], hour, value)
                sizes[series] = 0.0
                hours.forget(rings[series])
            figures[sample, BEGINS] = 1.0 if begins else 0.0
            _advance(of_series, sizes[series], rings[series], hour, times[sample], value, figures[sample])
    return -1


@compiled
def _begin(now: FloatArray, time: float, hour: int, value: float) -> None:
    """Start afresh: nothing was known, or all of it is older than the rings."""
    now[:] = 0.0
    for number in (m.FIRST_TIME, m.LAST_TIME, m.RUN_SINCE, m.WEIGHED_AT):
        now[number] = time
    for number in (m.LAST_VALUE, m.LEVEL_HOUR, m.LEVEL_DAY):
        now[number] = value
    now[m.MEDIAN : m.WEEKLY + 1] = nan
    now[m.HOUR] = hour
    now[m.USUAL_STEP] = FULL_WEIGHT_S


@compiled
def _advance(
    now: FloatArray,
    sizes: npt.NDArray[np.float32],
    rings: FloatArray,
    hour: int,
    time: float,
    value: float,
    out: FloatArray,
) -> None:
    passed_s = time - now[m.LAST_TIME]
    pace.step(now, time, passed_s)
    if hour != now[m.HOUR]:
        hours.turn(now, rings, hour)
    if now[m.STALE_LEFT] == pace.STALE_SAMPLES:
        # The mean of an hour that is long gone would make any sample look like a jump.
        now[m.LEVEL_HOUR] = value
        now[m.OFF_HOUR] = 0.0
        now[m.OFF_4H] = 0.0
    # --- against what was known before this sample
    departure = value - now[m.LEVEL_HOUR]
    spread = explained.spread(now, abs(departure))
    surprise = explained.surprise(now, value)
    off_season = explained.off_season(now, value)
    novelty = explained.novelty(now, value)
    out[LOW], out[HIGH] = explained.expected(now, spread)
    # --- the sample is remembered
    out[FROZEN] = pace.frozen(now, time, value)
    # A value that stands still longer than ever is not usual, wherever it stands.
    out[USUAL] = 1.0 if out[FROZEN] < 1.0 and explained.is_usual(now, value, spread) else 0.0
    now[m.SAMPLES] += 1.0
    _fade_in(now, passed_s, value, departure, off_season)
    _compare_restlessness(now, passed_s, abs(departure), spread, out)
    hours.enter(now, value)
    now[m.LAST_TIME] = time
    now[m.LAST_VALUE] = value
    # --- as sizes, as rarities, and at last as logarithms
    out[SURPRISE] = _size(surprise, spread)
    out[SEASONAL] = _size(off_season, spread)
    out[SEASONAL_HOUR] = _size(now[m.OFF_HOUR], spread)
    out[SEASONAL_4H] = _size(now[m.OFF_4H], spread)
    out[SEASONAL_12H] = _size(now[m.OFF_12H], spread)
    out[DEPARTURE] = _size(departure, spread)
    out[NOVELTY] = _size(novelty, spread)
    _weigh(now, sizes, time, passed_s, out)
    for feature in (SURPRISE, SEASONAL, SEASONAL_HOUR, SEASONAL_4H, SEASONAL_12H, DEPARTURE, NOVELTY):
        out[feature] = copysign(log1p(abs(out[feature])), out[feature])
    for feature in (VOLATILITY, VOLATILITY_DAY):
        out[feature] = log(max(out[feature], 1.0 / LARGEST_RATIO))
    out[WARMTH] = pace.warmth(now, time)
    out[STATE] = 0.0 if out[WARMTH] < 1.0 else 2.0 if now[m.STALE_LEFT] > 0.0 else 1.0


@compiled
def _fade_in(now: FloatArray, passed_s: float, value: float, departure: float, off_season: float) -> None:
    """Take the sample into the means of values and of what the season does not explain."""
    share = 1.0 / now[m.SAMPLES]
    step_s = now[m.USUAL_STEP]
    hour = pace.gain(passed_s, max(pace.HOUR_S, 4.0 * step_s), share)
    four_hours = pace.gain(passed_s, max(4.0 * pace.HOUR_S, 8.0 * step_s), share)
    now[m.LEVEL_HOUR] += hour * departure
    now[m.LEVEL_DAY] += pace.gain(passed_s, pace.DAY_S, share) * (value - now[m.LEVEL_DAY])
    now[m.OFF_HOUR] += hour * (off_season - now[m.OFF_HOUR])
    now[m.OFF_4H] += four_hours * (off_season - now[m.OFF_4H])
    now[m.OFF_12H] += pace.gain(passed_s, LASTING_S, share) * (off_season - now[m.OFF_12H])


@compiled
def _compare_restlessness(now: FloatArray, passed_s: float, size: float, spread: float, out: FloatArray) -> None:
    """What the last hour does not explain, of the last hours and of the last day against the week before."""
    share = 1.0 / now[m.SAMPLES]
    four_hours = pace.gain(passed_s, max(4.0 * pace.HOUR_S, 8.0 * now[m.USUAL_STEP]), share)
    now[m.RESTLESS_4H] += four_hours * (size - now[m.RESTLESS_4H])
    now[m.RESTLESS_DAY] += pace.gain(passed_s, pace.DAY_S, share) * (size - now[m.RESTLESS_DAY])
    quiet = QUIET_SHARE * spread
    of_week = now[m.RESTLESS_WEEK] + quiet
    out[VOLATILITY] = min((now[m.RESTLESS_4H] + quiet) / of_week, LARGEST_RATIO)
    out[VOLATILITY_DAY] = min((now[m.RESTLESS_DAY] + quiet) / of_week, LARGEST_RATIO)
    now[m.RESTLESS_2D] += pace.gain(passed_s, 2.0 * pace.DAY_S, share) * (size - now[m.RESTLESS_2D])
    now[m.RESTLESS_WEEK] += pace.gain(passed_s, 7.0 * pace.DAY_S, share) * (size - now[m.RESTLESS_WEEK])


@compiled
def _weigh(now: FloatArray, sizes: npt.NDArray[np.float32], time: float, passed_s: float, out: FloatArray) -> None:
    """From sizes to rarities, and what lasts of them."""
    grown = exp((time - now[m.WEIGHED_AT]) / FADE_S)
    if grown > MOST_GROWTH:
        for histogram in range(m.HISTOGRAMS):
            for bin_ in range(m.BINS):
                sizes[histogram, bin_] = float(sizes[histogram, bin_]) / grown
        now[m.WEIGHT] /= grown
        now[m.WEIGHED_AT] = time
        grown = 1.0
    weight = grown * min(1.0, now[m.USUAL_STEP] / FULL_WEIGHT_S)
    total = now[m.WEIGHT] / grown
    now[m.WEIGHT] += weight
    surprise, seasonal, hour = abs(out[SURPRISE]), abs(out[SEASONAL]), abs(out[SEASONAL_HOUR])
    departure, volatility, novelty = abs(out[DEPARTURE]), out[VOLATILITY], abs(out[NOVELTY])
    above_surprise = rarity.mass(sizes[m.SIZE_SURPRISE], surprise, weight) / grown
    above_seasonal = rarity.mass(sizes[m.SIZE_SEASONAL], seasonal, weight) / grown
    above_hour = rarity.mass(sizes[m.SIZE_SEASONAL_HOUR], hour, weight) / grown
    above_departure = rarity.mass(sizes[m.SIZE_DEPARTURE], departure, weight) / grown
    above_volatility = rarity.mass(sizes[m.SIZE_VOLATILITY], volatility, weight) / grown
    above_novelty = rarity.mass(sizes[m.SIZE_NOVELTY], novelty, weight) / grown
    out[RARE_SURPRISE] = rarity.plain(above_surprise, total, surprise)
    out[RARE_SEASONAL] = rarity.plain(above_seasonal, total, seasonal)
    out[RARE_SEASONAL_HOUR] = rarity.plain(above_hour, total, hour)
    out[RARE_DEPARTURE] = rarity.plain(above_departure, total, departure)
    out[RARE_VOLATILITY] = rarity.plain(above_volatility, total, volatility)
    out[FADE] = exp(-passed_s / max(HELD_S, 4.0 * now[m.USUAL_STEP]))
    now[m.HELD_RARITY] = max(rarity.sceptic(above_seasonal, total, seasonal), now[m.HELD_RARITY] * out[FADE])
    now[m.HELD_NOVELTY] = max(rarity.sceptic(above_novelty, total, novelty), now[m.HELD_NOVELTY] * out[FADE])
    now[m.LASTING] += pace.gain(passed_s, LASTING_S, 1.0 / now[m.SAMPLES]) * (log1p(seasonal) - now[m.LASTING])
    out[HELD], out[HELD_NOVELTY], out[LASTING] = now[m.HELD_RARITY], now[m.HELD_NOVELTY], now[m.LASTING]


@compiled
def _size(difference: float, spread: float) -> float:
    """A difference in units of the spread, with its sign."""
    if abs(difference) < spread * LARGEST_RATIO:
        return difference / spread
    return copysign(LARGEST_RATIO, difference)
