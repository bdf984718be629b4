"""When will a series reach a value, if it goes on as expected?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from db.models.detection import Forecast

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Seconds from now until the value is reached, or None and why."""

    seconds: float | None
    reason: str | None = None


def time_to(threshold: float, forecast: Forecast, hours: int, *, now: datetime) -> Crossing:
    """When what is expected within so many hours first reaches the threshold, from whichever side.

    Between the middles of the hours the expected value is taken to move evenly.
    """
    if forecast.level == threshold:
        return Crossing(0.0)
    rises = forecast.level < threshold
    for (start, before), (end, after) in pairwise(_points(forecast, hours)):
        if (after >= threshold) if rises else (after <= threshold):
            share = (threshold - before) / (after - before)
            return Crossing(max((start + share * (end - start) - now).total_seconds(), 0.0))
    return Crossing(None, f"it is not expected to reach {threshold:g} within {hours} hours")


def _points(forecast: Forecast, hours: int) -> Iterator[tuple[datetime, float]]:
    """Times with the values expected then, the newest known one first."""
    yield forecast.known_at, forecast.level
    means: Sequence[float] = forecast.expected[:hours]
    for number, mean in enumerate(means):
        yield forecast.starts_at + number * HOUR + HOUR / 2, mean
