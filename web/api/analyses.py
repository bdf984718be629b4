"""Results: the newest, one of them, that of an alert; asking for another, and saying whether it helped."""

from __future__ import annotations

from typing import Any

from db.models.analysis import AnalysisFeedback
from db.queries import analysis_reads, analysis_requests, confirmed_causes
from db.queries.analysis_reads import Found
from sensus import metrics
from web import listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import request_id
from web.resources import resources
from web.schemas.analyses import AnalysesAnswer, AnalysisAnswer, FeedbackAnswer, FeedbackBody, LatestQuery

blueprint = StrictBlueprint("analyses", __name__, url_prefix="/api/v1", description="Root-cause analyses")


@blueprint.get("/analysis/latest")
@access("read", limit="analysis")
@blueprint.arguments(LatestQuery, location="query")
@blueprint.response(200, AnalysesAnswer)
@blueprint.doc(summary="Analyses and anomalies, newest first")
def latest(query: dict[str, Any]) -> dict[str, Any]:
    with resources().database.transaction() as session:
        found = analysis_reads.newest_first(
            session, query.get("analysis_type"), limit=query["limit"] + 1, before_id=listing.before_id(query)
        )
    return listing.answer(found, query["limit"], lambda one: (one.result.id,))


@blueprint.get("/analysis/<int:analysis_id>")
@access("read", limit="analysis")
@blueprint.response(200, AnalysisAnswer)
@blueprint.doc(summary="One analysis with its evidence")
def analysis(analysis_id: int) -> Found:
    with resources().database.transaction() as session:
        return analysis_reads.get(session, analysis_id)


@blueprint.get("/alerts/<int:alert_id>/analysis")
@access("read", limit="analysis")
@blueprint.response(200, AnalysisAnswer)
@blueprint.doc(summary="The newest analysis of an alert")
def of_alert(alert_id: int) -> Found:
    with resources().database.transaction() as session:
        return analysis_reads.of_alert(session, alert_id)


@blueprint.post("/alerts/<int:alert_id>/analysis")
@access("write", limit="analysis")
@blueprint.response(202, AnalysisAnswer)
@blueprint.doc(summary="Ask for a fresh analysis of an alert")
def ask(alert_id: int) -> Found:
    """While one that somebody asked for waits untouched, that one is answered: a second could say nothing else."""
    with resources().database.transaction() as session:
        asked = analysis_requests.ask(session, alert_id, by=caller().identity, request_id=request_id())
    resources().background.knock_analyses([asked.id])
    return Found(asked)


@blueprint.post("/analysis/<int:analysis_id>/feedback")
@access("write", limit="analysis")
@blueprint.arguments(FeedbackBody)
@blueprint.response(201, FeedbackAnswer)
@blueprint.doc(summary="Say whether an analysis helped")
def judge(body: dict[str, Any], analysis_id: int) -> AnalysisFeedback:
    """What is said here is used when a similar incident comes; a true cause is shown on the incident from now on."""
    by, cause = caller().identity, body.get("root_cause")
    with resources().database.transaction() as session:
        judgement = analysis_requests.judge(
            session, analysis_id, helpful=body["helpful"], root_cause=cause, note=body.get("note"), by=by
        )
        confirmed = cause and confirmed_causes.confirm(
            session, analysis_id, cause, by=by, at=judgement.created_at, request_id=request_id()
        )
    metrics.feedback.labels("true" if judgement.helpful else "false").inc()
    if confirmed:
        metrics.causes_confirmed.labels(confirmed[1]).inc()
    return judgement
