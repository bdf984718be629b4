"""What is expected of the series next, made anew whenever an hour of one is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from db.queries.forecasts import NewForecast
from db.queries.progress import SeriesClaim
from ml.forecast import forecasts
from ml.scoring import Scored
from sensus import times


def of(claims: Sequence[SeriesClaim], scored: Sequence[Scored]) -> dict[int, NewForecast]:
    """By series: what is expected of those whose open hour is a new one, by what is remembered of them now."""
    # Rings are there only where an hour was closed, so the cost of a forecast is paid once an hour and series.
    closed = [(claim, one.memory) for claim, one in zip(claims, scored, strict=True) if one.memory.rings is not None]
    made = forecasts([memory for _, memory in closed])
    return {
        claim.series_id: NewForecast(
            series_id=claim.series_id,
            known_at=_moment(one.known_at),
            level=one.level,
            starts_at=_moment(one.starts_at),
            expected=one.expected,
            low=one.low,
            high=one.high,
            per_second=claim.per_second,
        )
        for (claim, _), one in zip(closed, made, strict=True)
        if one is not None
    }


def _moment(seconds: float) -> datetime:
    return times.from_microseconds(round(seconds * 1_000_000))
