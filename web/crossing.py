"""When will a series reach a value, if it goes on as expected?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from db.models.detection import Forecast
from sensus import times

HOUR = timedelta(hours=1)
# A forecast is made anew when an hour is over, so one of a series that is there is not much older.
_FRESH = 2 * HOUR
Direction = Literal["above", "below"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Seconds from now until the value is reached, or None and why."""

    seconds: float | None
    reason: str | None = None


def time_to(
    threshold: float, forecast: Forecast, hours: int, *, direction: Direction | None = None, now: datetime
) -> Crossing:
    """When what is expected within so many hours is first at the threshold or beyond it, seen in the direction.

    Without one it is that from the value that is known to the threshold. Between the middles of the hours the expected
    value is taken to move evenly. A series of which nothing came since then says nothing of what is past.
    """
    side = "above" if forecast.level > threshold else "below"
    rises = side == "below" if direction is None else direction == "above"
    fresh = now - forecast.known_at <= _FRESH
    since = f"nothing of the series was scored since {times.isoformat(forecast.known_at)}"
    if forecast.level == threshold or (forecast.level > threshold) == rises:
        return Crossing(0.0) if fresh else Crossing(None, since)
    for (start, before), (end, after) in pairwise(_points(forecast, hours)):
        if (after >= threshold) if rises else (after <= threshold):
            share = (threshold - before) / (after - before)
            ahead_s = (start + share * (end - start) - now).total_seconds()
            return Crossing(max(ahead_s, 0.0)) if fresh or ahead_s > 0 else Crossing(None, since)
    if forecast.starts_at + hours * HOUR <= now:
        return Crossing(None, since)
    return Crossing(None, f"it is {side} {threshold:g} and not expected to reach it within {hours} hours")


def _points(forecast: Forecast, hours: int) -> Iterator[tuple[datetime, float]]:
    """Times with the values expected then, the newest known one first."""
    yield forecast.known_at, forecast.level
    means: Sequence[float] = forecast.expected[:hours]
    for number, mean in enumerate(means):
        yield forecast.starts_at + number * HOUR + HOUR / 2, mean
