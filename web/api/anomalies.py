"""Samples that were found strange, and what people say of them."""

from __future__ import annotations

from typing import Any

from db.models.detection import AnomalyFeedback
from db.queries import analysis_reads, anomaly_feedback
from db.queries.analysis_reads import AnomalyFilter
from sensus import metrics
from web import listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas.anomalies import AnomaliesAnswer, AnomaliesQuery, VerdictAnswer, VerdictBody
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


@blueprint.post("/anomalies/<int:anomaly_id>/feedback")
@access("write", limit="analysis")
@blueprint.arguments(VerdictBody)
@blueprint.response(201, VerdictAnswer)
@blueprint.doc(summary="Say whether an anomaly was real")
def judge(body: dict[str, Any], anomaly_id: int) -> AnomalyFeedback:
    """Of several verdicts the newest one holds. They decide with, when a new version of the model is compared."""
    with resources().database.transaction() as session:
        said = anomaly_feedback.judge(
            session, anomaly_id, verdict=body["verdict"], note=body.get("note"), by=caller().identity
        )
    metrics.anomaly_feedback.labels(said.verdict).inc()
    return said
