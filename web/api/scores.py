"""What scoring said of each sample of a series."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.orm import Session

from db.queries import sample_reads, series_reads
from db.queries.sample_reads import Scored
from db.queries.series_reads import Selector, SeriesFound
from sensus import times
from sensus.errors import Invalid, NotFound
from web import listing
from web.access import access
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas.scores import ScoresAnswer, ScoresQuery
from web.schemas.selection import Selection

# How many series an answer names when the question was not about one.
_NAMED = 5

blueprint = StrictBlueprint("scores", __name__, url_prefix="/api/v1", description="Scores of samples")


@blueprint.get("/scores")
@access("read", limit="metrics")
@blueprint.arguments(ScoresQuery, location="query")
@blueprint.response(200, ScoresAnswer)
@blueprint.doc(summary="Scores of one series, oldest first")
def scores(query: dict[str, Any]) -> dict[str, Any]:
    """All that is kept unless a range is given. Labels must tell the series from others of its name; the series
    with no labels beyond those given is preferred.
    """
    selection: Selection = query["selection"]
    with resources().database.transaction() as session:
        series = _the_series(session, selection.selector)
        found = sample_reads.scored(
            session,
            series.id,
            start=selection.start,
            end=selection.end,
            after=listing.after_moment(query),
            limit=query["limit"] + 1,
        )
    return {
        "metric_name": series.metric_name,
        "labels": series.labels,
        "scores": [_plain(row) for row in found[: query["limit"]]],
        "next_cursor": listing.next_cursor(found, query["limit"], lambda row: (row.timestamp,)),
    }


def _the_series(session: Session, selector: Selector) -> SeriesFound:
    found = series_reads.find(session, selector, limit=_NAMED + 1)
    if not found:
        raise NotFound("no such series; GET /api/v1/metrics answers with labels")
    series = found[0] if len(found) == 1 else series_reads.exactly(session, selector)
    if series is None:
        told = "; ".join(_told(one) for one in found[:_NAMED])
        more = "; ..." if len(found) > _NAMED else ""
        raise Invalid(f"several series match; ask for more labels to tell them apart: {told}{more}")
    return series


def _told(series: SeriesFound) -> str:
    return (
        series.metric_name
        + "{"
        + ",".join(f"{name}={json.dumps(value)}" for name, value in series.labels.items())
        + "}"
    )


def _plain(row: Scored) -> list[Any]:
    return [times.to_epoch(row.timestamp), row.score, row.alert, row.state, row.model_version]
