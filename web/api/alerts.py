"""Alerts: which there are, what happened to one, and that somebody has seen it."""

from __future__ import annotations

from typing import Any

from db.queries import acknowledgements, alert_reads
from db.queries.alert_reads import AlertFilter, AlertStory
from sensus import times
from web import acts, listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import request_id
from web.resources import resources
from web.schemas.alerts import (
    AcknowledgementBody,
    AlertsAnswer,
    AlertsQuery,
    AlertStoryAnswer,
)

blueprint = StrictBlueprint("alerts", __name__, url_prefix="/api/v1", description="Alerts and their history")


@blueprint.get("/alerts")
@access("read", limit="alerts")
@blueprint.arguments(AlertsQuery, location="query")
@blueprint.response(200, AlertsAnswer)
@blueprint.doc(summary="Alerts, newest first")
def alerts(query: dict[str, Any]) -> dict[str, Any]:
    """In the order of arrival, so that a page never changes behind a cursor; `since` and `until` bound the start."""
    wanted = AlertFilter(
        status=query.get("status"),
        severity=query.get("severity"),
        alert_name=query.get("alert_name"),
        labels=tuple(query.get("label", ())),
        since=query.get("since"),
        until=query.get("until"),
    )
    with resources().database.transaction() as session:
        found = alert_reads.newest_first(session, wanted, limit=query["limit"] + 1, before_id=listing.before_id(query))
    return listing.answer(found, query["limit"], lambda alert: (alert.id,))


@blueprint.get("/alerts/<int:alert_id>")
@access("read", limit="alerts")
@blueprint.response(200, AlertStoryAnswer)
@blueprint.doc(summary="One alert with its history")
def alert(alert_id: int) -> AlertStory:
    with resources().database.transaction() as session:
        return alert_reads.story(session, alert_id)


@blueprint.post("/alerts/<int:alert_id>/ack")
@access("write", limit="alerts")
@blueprint.arguments(AcknowledgementBody, required=False)
@blueprint.response(200, AlertStoryAnswer)
@blueprint.doc(summary="Acknowledge an alert")
def acknowledge(body: dict[str, Any], alert_id: int) -> AlertStory:
    """Saying the same again changes nothing; another person or another note is one more entry of the history."""
    by, note = caller().identity, body.get("note")
    with resources().database.transaction() as session:
        changed = acknowledgements.acknowledge(
            session, alert_id, by=by, note=note, at=times.now(), request_id=request_id()
        )
        if changed:
            facts = {"alert_id": alert_id}
            acts.record(session, "alert_acknowledged", subject=f"alert:{alert_id}", facts=facts)
        story = alert_reads.story(session, alert_id)
    if changed:
        resources().background.relay()
    return story
