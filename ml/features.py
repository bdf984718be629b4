"""What is telling about a sample?  Causal, scale-free features, computed one sample at a time.

All arithmetic is on plain floats in one fixed order: a series gives the same features to the last bit whether
its samples come one by one or all at once.

Differences are divided by the spread of the last seven days (10 to 90 % of the quarter hours). A lasting level
shift is therefore ordinary within a day: after 17 hours the new level is inside that spread.
"""

import struct
from collections.abc import Sequence
from math import copysign, exp, floor, isfinite, log, log1p
from typing import Literal

from ml.errors import MemoryRejected
from ml.history import QUARTER_S, SLOTS, WINDOW, History, LastHour

State = Literal["warming_up", "scoring", "stale"]
FeatureRow = tuple[float, ...]

FEATURE_NAMES = (
    "surprise",  # against what explains the sample best: the last hour, or this time on the days before
    "volatility",  # residuals of the last hour against those of the last two days
    "seasonal",  # against the same time on the days before; until there are any, against the median
    "seasonal_hour",  # the same, averaged over an hour
    "range",  # highest minus lowest of the last hour
    "shift",  # the last four hours against the four before
)

WARM_UP_S = 86_400.0
WARM_UP_SAMPLES = 50
STALE_SAMPLES = 3
STALE_STEPS = 20.0  # a gap of this many usual steps, and of an hour at least, makes a series stale
HOUR_S = 3_600.0
DAY_S = 86_400.0

# Differences of values up to this size, and sums of a few of them, stay finite.
LARGEST_VALUE = 1e300
LARGEST_RATIO = 1e12
# A constant series has no spread of its own: a move by a thousandth of its value counts as ten spreads.
SPREAD_OF_MEDIAN = 1e-4
# Residuals below this share of the spread count as none when volatilities are compared.
QUIET_SHARE = 0.02

_MAGIC = b"SSM"
_VERSION = 1
_HEAD = struct.Struct("<3sBqqqqq")
_SCALARS = (
    "first_time",
    "last_time",
    "last_value",
    "usual_step",
    "hour_mean",
    "day_mean",
    "hour_residual",
    "day_residual",
    "hour_off_season",
)
_BODY = struct.Struct(f"<{1 + len(_SCALARS) + 2 * SLOTS + WINDOW}d")


class SeriesMemory:
    """All that is remembered of a series; about 5.7 kB as bytes.

    After `advance`, `state` says how far the figures can be trusted, `warmth` (0 to 1) how much of the
    warm-up is done, and `expected_low` to `expected_high` is where the sample was expected.
    """

    __slots__ = (
        *_SCALARS,
        "expected_high",
        "expected_low",
        "history",
        "hour",
        "samples",
        "stale_left",
        "state",
        "warmth",
    )

    def __init__(self) -> None:
        self.samples = 0
        self.stale_left = 0
        self.first_time = self.last_time = self.last_value = self.usual_step = 0.0
        self.hour_mean = self.day_mean = self.hour_residual = self.day_residual = self.hour_off_season = 0.0
        self.history = History(0, 0.0, 0)
        self.hour = LastHour()
        self.state: State = "warming_up"
        self.warmth = 0.0
        self.expected_low = self.expected_high = 0.0

    def advance(self, time: float, value: float) -> FeatureRow:
        """Features of a sample, in the order of FEATURE_NAMES, each of them finite; the sample is then remembered.

        `time` is in epoch seconds and later than that of the sample before, `value` is finite.
        """
        x = min(max(value, -LARGEST_VALUE), LARGEST_VALUE) + 0.0
        bucket = floor(time / QUARTER_S)
        step = time - self.last_time
        if self.samples == 0 or bucket - self.history.bucket > WINDOW:
            self._begin(time, bucket, x)
            step = 0.0
        history = self.history
        if bucket != history.bucket:
            history.open(bucket)
        self._note_state(time, step)
        if self.stale_left == STALE_SAMPLES:
            # The mean of an hour that is long gone would make any sample look like a jump.
            self.hour_mean = x
            self.hour_off_season = 0.0

        # --- what was known before this sample
        hour, day_residual = self.hour_mean, self.day_residual
        median = history.median
        if median != median:
            median = self.day_mean
        spread = history.high - history.low
        floor_of_spread = SPREAD_OF_MEDIAN * abs(median)
        if not spread > floor_of_spread:
            spread = floor_of_spread
        if day_residual * 2.0 > spread:
            spread = day_residual * 2.0
        off_hour = x - hour
        seasonal = history.seasonal
        if seasonal == seasonal:
            off_season = x - seasonal
            if x > history.seasonal_high:
                off_band = x - history.seasonal_high
            elif x < history.seasonal_low:
                off_band = x - history.seasonal_low
            else:
                off_band = 0.0
            surprise = off_band if abs(off_band) < abs(off_hour) else off_hour
            self.expected_low = min(history.seasonal_low, hour) - spread / 2.0
            self.expected_high = max(history.seasonal_high, hour) + spread / 2.0
        else:
            off_season, surprise = x - median, off_hour
            self.expected_low = min(median, hour) - spread
            self.expected_high = max(median, hour) + spread
        residual = abs(off_hour)

        # --- the sample is remembered
        self.samples += 1
        share = 1.0 / self.samples
        fast = max(1.0 - exp(-step / HOUR_S), share)
        slow = max(1.0 - exp(-step / DAY_S), share)
        slower = max(1.0 - exp(-step / (2.0 * DAY_S)), share)
        self.hour_mean = hour + fast * off_hour
        self.day_mean += slow * (x - self.day_mean)
        self.hour_residual += fast * (residual - self.hour_residual)
        self.day_residual = day_residual + slower * (residual - day_residual)
        self.hour_off_season += fast * (off_season - self.hour_off_season)
        reach = self.hour.reach(time, x, self.last_value)
        history.enter(x)
        self.last_time = time
        self.last_value = x

        quiet = spread * QUIET_SHARE
        shift = history.shift
        return (
            _size(surprise, spread),
            _log_ratio(self.hour_residual + quiet, day_residual + quiet),
            _size(off_season, spread),
            _size(self.hour_off_season, spread),
            _size(reach, spread),
            _size(shift, spread) if shift == shift else 0.0,
        )

    def _begin(self, time: float, bucket: int, x: float) -> None:
        """Start afresh: nothing was known, or all of it is older than the window."""
        self.samples = 0
        self.stale_left = 0
        self.first_time = self.last_time = time
        self.last_value = self.hour_mean = self.day_mean = x
        self.usual_step = self.hour_residual = self.day_residual = self.hour_off_season = 0.0
        self.history = History(bucket, 0.0, 0)

    def _note_state(self, time: float, step: float) -> None:
        usual = self.usual_step
        if self.stale_left:
            self.stale_left -= 1
        if self.samples > 2 and step > HOUR_S and step > STALE_STEPS * usual:
            self.stale_left = STALE_SAMPLES
        else:
            self.usual_step = usual + max(0.05, 1.0 / (self.samples or 1)) * (step - usual)
        done = min((time - self.first_time) / WARM_UP_S, (self.samples + 1) / WARM_UP_SAMPLES)
        self.warmth = min(done, 1.0)
        self.state = "warming_up" if done < 1.0 else "stale" if self.stale_left else "scoring"

    def to_bytes(self) -> bytes:
        """The memory as bytes, the same on every machine."""
        history = self.history
        head = _HEAD.pack(
            _MAGIC, _VERSION, self.samples, self.stale_left, self.hour.slot, history.bucket, history.count
        )
        scalars = [getattr(self, name) for name in _SCALARS]
        return head + _BODY.pack(history.mean, *scalars, *self.hour.lows, *self.hour.highs, *history.ring)

    @classmethod
    def from_bytes(cls, data: bytes) -> "SeriesMemory":
        """The memory that `to_bytes` put away. Raises MemoryRejected."""
        if len(data) < _HEAD.size or data[:3] != _MAGIC:
            raise MemoryRejected("these bytes are not a series memory")
        if data[3] != _VERSION:
            raise MemoryRejected(f"series memory of version {data[3]}, this release reads version {_VERSION}")
        if len(data) != _HEAD.size + _BODY.size:
            raise MemoryRejected(f"series memory of {len(data)} bytes, {_HEAD.size + _BODY.size} are needed")
        memory = cls()
        _, _, memory.samples, memory.stale_left, slot, bucket, count = _HEAD.unpack_from(data)
        mean, *rest = _BODY.unpack_from(data, _HEAD.size)
        for name, number in zip(_SCALARS, rest, strict=False):
            setattr(memory, name, number)
        _refuse_unless_finite(rest[: len(_SCALARS)])
        rest = rest[len(_SCALARS) :]
        memory.hour = LastHour(slot, rest[:SLOTS], rest[SLOTS : 2 * SLOTS])
        memory.history = History(bucket, mean, count, rest[2 * SLOTS :])
        return memory


def _refuse_unless_finite(numbers: Sequence[float]) -> None:
    if not all(isfinite(number) for number in numbers):
        raise MemoryRejected("series memory with a figure that is not finite")


def _size(difference: float, spread: float) -> float:
    """Signed logarithm of a difference in units of the spread."""
    if difference == 0.0:
        return 0.0
    size = abs(difference)
    ratio = size / spread if size < spread * LARGEST_RATIO else LARGEST_RATIO
    return copysign(log1p(ratio), difference)


def _log_ratio(loud: float, usual: float) -> float:
    if usual == 0.0:
        return 0.0 if loud == 0.0 else log(LARGEST_RATIO)
    return log(min(max(loud / usual, 1.0 / LARGEST_RATIO), LARGEST_RATIO))
