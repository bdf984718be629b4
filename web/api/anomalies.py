"""Samples that were found strange."""

from __future__ import annotations

from typing import Any

from db.queries import analysis_reads
from db.queries.analysis_reads import AnomalyFilter
from web import listing
from web.access import access
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas.anomalies import AnomaliesAnswer, AnomaliesQuery
from web.schemas.selection import Selection

blueprint = StrictBlueprint("anomalies", __name__, url_prefix="/api/v1", description="Anomalies of samples")


@blueprint.get("/anomalies")
@access("read", limit="analysis")
@blueprint.arguments(AnomaliesQuery, location="query")
@blueprint.response(200, AnomaliesAnswer)
@blueprint.doc(summary="Anomalies, newest sample first")
def anomalies(query: dict[str, Any]) -> dict[str, Any]:
    selection: Selection = query["selection"]
    wanted = AnomalyFilter(
        series=selection.selector, since=selection.start, until=selection.end, min_score=query.get("min_score")
    )
    with resources().database.transaction() as session:
        found = analysis_reads.anomalies(session, wanted, limit=query["limit"] + 1, before=listing.before_moment(query))
    return listing.answer(found, query["limit"], lambda one: (one.sampled_at, one.result.id))
