"""Samples of chosen series over a range."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from db.queries import sample_reads, series_reads
from db.queries.sample_reads import Points
from sensus import times
from sensus.errors import Invalid
from web.access import access
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas.metrics import SamplesAnswer, SamplesQuery
from web.schemas.selection import Selection

MOST_SERIES = 100
MOST_POINTS = 50_000
DEFAULT_RANGE = timedelta(hours=1)
# Samples up to ten minutes ahead are accepted, so the newest ones may lie a little in the future.
_AHEAD = timedelta(minutes=10)

blueprint = StrictBlueprint("metrics", __name__, url_prefix="/api/v1", description="Samples")


@blueprint.get("/metrics")
@access("read", limit="metrics")
@blueprint.arguments(SamplesQuery, location="query")
@blueprint.response(200, SamplesAnswer)
@blueprint.doc(summary="Samples of one series, or of those that a selector means")
def samples(query: dict[str, Any]) -> dict[str, Any]:
    """The last hour unless `start` says otherwise; series without a sample in the range are left out."""
    selection: Selection = query["selection"]
    start, end = _range(selection)
    with resources().database.transaction() as session:
        found = series_reads.find(session, selection.selector, limit=MOST_SERIES + 1, alive_since=start)
        if len(found) > MOST_SERIES:
            raise Invalid(f"more than {MOST_SERIES} series match; ask for more labels")
        points = sample_reads.points(
            session,
            [series.id for series in found],
            start=start,
            end=end,
            step_s=query.get("step"),
            most=MOST_POINTS,
        )
    return {
        "series": [
            {"metric_name": series.metric_name, "labels": series.labels, "samples": _plain(points[series.id])}
            for series in found
            if series.id in points
        ]
    }


def _range(selection: Selection) -> tuple[datetime, datetime]:
    now = times.now()
    end = selection.end or now + _AHEAD
    if selection.start is not None:
        # A range that begins in the future and has no end is empty.
        return selection.start, max(end, selection.start)
    # The first years of the calendar have no hour before them.
    return max(min(end, now), times.EPOCH + DEFAULT_RANGE) - DEFAULT_RANGE, end


def _plain(points: Points) -> list[list[float]]:
    return [[times.to_epoch(at), value] for at, value in points]
