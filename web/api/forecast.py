"""What is expected of series in the next hours."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.models.detection import Forecast
from db.queries import forecasts, series_reads
from db.queries.series_reads import SeriesFound
from sensus import times
from sensus.errors import Invalid
from web.access import access
from web.arguments import StrictBlueprint
from web.crossing import HOUR, Crossing, time_to
from web.resources import resources
from web.schemas.forecast import ForecastAnswer, ForecastQuery
from web.schemas.selection import Selection

MOST_SERIES = 100
_NOTHING: dict[str, Any] = {
    "known_at": None,
    "level": None,
    "per_second": False,
    "hours": [],
    "time_to_threshold": None,
}
_NOT_YET = "there is no forecast yet: it is made when the first full hour of the series has been scored"

blueprint = StrictBlueprint("forecast", __name__, url_prefix="/api/v1", description="What is expected next")


@blueprint.get("/forecast")
@access("read", limit="metrics")
@blueprint.arguments(ForecastQuery, location="query")
@blueprint.response(200, ForecastAnswer)
@blueprint.doc(summary="Expected value and interval for the next hours, and when a value will be reached")
def forecast(query: dict[str, Any]) -> dict[str, Any]:
    """Made anew whenever an hour of the series is over."""
    selection: Selection = query["selection"]
    now = times.now()
    with resources().database.transaction() as session:
        found = series_reads.find(session, selection.selector, limit=MOST_SERIES + 1)
        if len(found) > MOST_SERIES:
            raise Invalid(f"more than {MOST_SERIES} series match; ask for more labels")
        made = forecasts.of_series(session, [series.id for series in found])
    return {"series": [_told(series, made.get(series.id), query, now) for series in found]}


def _told(series: SeriesFound, row: Forecast | None, query: dict[str, Any], now: datetime) -> dict[str, Any]:
    of_series = {"metric_name": series.metric_name, "labels": series.labels}
    if row is None:
        return {**of_series, **_NOTHING, "reason": _NOT_YET}
    # The hours that are over already are not ahead.
    passed = max((now - row.starts_at) // HOUR, 0)
    last = min(passed + query["horizon"], len(row.expected))
    crossing = Crossing(None)
    if "threshold" in query:
        crossing = time_to(query["threshold"], row, last, direction=query.get("direction"), now=now)
    return {
        **of_series,
        "known_at": row.known_at,
        "level": row.level,
        "per_second": row.per_second,
        "hours": [
            [times.to_epoch(row.starts_at + number * HOUR), row.expected[number], row.low[number], row.high[number]]
            for number in range(passed, last)
        ],
        "time_to_threshold": crossing.seconds,
        "reason": crossing.reason,
    }
