"""What was ordinary for a series: quarter-hour means of seven days, and the limits of the last hour.

Everything but the ring and the open quarter hour is derived from them, so a history that was stored and
loaded again is the same to the last bit as one that was never put away.
"""

from bisect import bisect_left, insort
from math import floor, inf, nan

QUARTER_S = 900.0
DAY = 96  # quarter hours
WINDOW = 7 * DAY
FOUR_HOURS = 16
SLOT_S = 300.0
SLOTS = 12


class History:
    """Quarter-hour means of the last seven days, and figures drawn from them.

    `median`, `low` and `high` (10 and 90 %) describe the window, `seasonal` is the median at this time of day
    on the days before, `seasonal_low` and `seasonal_high` its limits, `shift` the mean of the last four hours
    minus that of the four hours before. Each is NaN while nothing is known. The open quarter hour enters only
    when it is over.
    """

    __slots__ = (
        "bucket",
        "count",
        "high",
        "low",
        "mean",
        "median",
        "ordered",
        "ring",
        "seasonal",
        "seasonal_high",
        "seasonal_low",
        "shift",
    )

    def __init__(self, bucket: int, mean: float, count: int, ring: list[float] | None = None) -> None:
        self.bucket = bucket
        self.mean = mean
        self.count = count
        self.ring = [nan] * WINDOW if ring is None else ring
        self.ordered = sorted(value for value in self.ring if value == value)
        self._derive()

    def enter(self, value: float) -> None:
        """Take a sample into the open quarter hour."""
        self.count += 1
        self.mean += (value - self.mean) / self.count

    def open(self, bucket: int) -> None:
        """Move on to a later quarter hour: the finished one enters the ring, what is too old leaves."""
        skipped = bucket - self.bucket
        if skipped <= 0:
            return
        self._replace(self.bucket % WINDOW, self.mean + 0.0)  # + 0.0 makes a negative zero positive
        for passed in range(self.bucket + 1, min(bucket, self.bucket + WINDOW + 1)):
            self._replace(passed % WINDOW, nan)
        self.bucket = bucket
        self.mean = 0.0
        self.count = 0
        self._derive()

    def _replace(self, slot: int, value: float) -> None:
        old = self.ring[slot]
        if old == old:
            del self.ordered[bisect_left(self.ordered, old)]
        self.ring[slot] = value
        if value == value:
            insort(self.ordered, value)

    def _derive(self) -> None:
        ordered = self.ordered
        n = len(ordered)
        if n:
            self.median = middle(ordered)
            self.low = ordered[(n - 1) // 10]
            self.high = ordered[n - 1 - (n - 1) // 10]
        else:
            self.median = self.low = self.high = nan
        before = self._same_time_before()
        if before:
            before.sort()
            self.seasonal = middle(before)
            self.seasonal_low, self.seasonal_high = before[0], before[-1]
        else:
            self.seasonal = self.seasonal_low = self.seasonal_high = nan
        self.shift = self._mean_of(1) - self._mean_of(1 + FOUR_HOURS)

    def _same_time_before(self) -> list[float]:
        """Means at this time of day, or the quarter hour after it, on each of the last seven days."""
        ring, found = self.ring, []
        for back in range(DAY, WINDOW + 1, DAY):
            slot = (self.bucket - back) % WINDOW
            value = ring[slot]
            if value != value:
                value = ring[(slot + 1) % WINDOW]
            if value == value:
                found.append(value)
        return found

    def _mean_of(self, nearest: int) -> float:
        """Mean of four hours that end `nearest` quarter hours ago; NaN when nothing is there."""
        start = (self.bucket - nearest - FOUR_HOURS + 1) % WINDOW
        part = self.ring[start : start + FOUR_HOURS]
        if len(part) < FOUR_HOURS:
            part += self.ring[: FOUR_HOURS - len(part)]
        known = [value for value in part if value == value]
        # Each share is divided before the sum, which could overflow otherwise.
        return sum([value / len(known) for value in known]) if known else nan


class LastHour:
    """Lowest and highest values of the last hour, in twelve slots of five minutes."""

    __slots__ = ("highs", "lows", "slot")

    def __init__(self, slot: int = 0, lows: list[float] | None = None, highs: list[float] | None = None) -> None:
        self.slot = slot
        self.lows = [inf] * SLOTS if lows is None else lows
        self.highs = [-inf] * SLOTS if highs is None else highs

    def reach(self, time: float, value: float, before: float) -> float:
        """Highest minus lowest of the last hour, with this sample and with the one before, however long ago."""
        slot = floor(time / SLOT_S)
        lows, highs = self.lows, self.highs
        if slot != self.slot:
            for passed in range(max(self.slot + 1, slot - SLOTS + 1), slot + 1):
                lows[passed % SLOTS] = inf
                highs[passed % SLOTS] = -inf
            self.slot = slot
        at = slot % SLOTS
        if value < lows[at]:
            lows[at] = value
        if value > highs[at]:
            highs[at] = value
        return max(*highs, before) - min(*lows, before)


def middle(ordered: list[float]) -> float:
    """Median of a sorted list that is not empty."""
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return ordered[half - 1] / 2 + ordered[half] / 2
