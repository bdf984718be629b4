"""Incidents: which there are, what one consists of, and that somebody has it."""

from __future__ import annotations

from typing import Any

from db.queries import incident_reads, incidents
from db.queries.incident_reads import IncidentFilter, IncidentStory
from sensus import times
from web import acts, listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import request_id
from web.resources import resources
from web.schemas.alerts import AcknowledgementBody
from web.schemas.incidents import (
    IncidentsAnswer,
    IncidentsQuery,
    IncidentStoryAnswer,
    MembersAnswer,
    MembersQuery,
)

blueprint = StrictBlueprint(
    "incidents", __name__, url_prefix="/api/v1", description="Alerts and anomalies that belong together"
)


@blueprint.get("/incidents")
@access("read", limit="alerts")
@blueprint.arguments(IncidentsQuery, location="query")
@blueprint.response(200, IncidentsAnswer)
@blueprint.doc(summary="Incidents, newest first")
def all_incidents(query: dict[str, Any]) -> dict[str, Any]:
    wanted = IncidentFilter(
        status=query.get("status"),
        severity=query.get("severity"),
        service=query.get("service"),
        since=query.get("since"),
        until=query.get("until"),
    )
    with resources().database.transaction() as session:
        found = incident_reads.newest_first(
            session, wanted, limit=query["limit"] + 1, before_id=listing.before_id(query)
        )
    return listing.answer(found, query["limit"], lambda one: (one.incident.id,))


@blueprint.get("/incidents/<int:incident_id>")
@access("read", limit="alerts")
@blueprint.response(200, IncidentStoryAnswer)
@blueprint.doc(summary="One incident with its members, timeline, suspects and analysis")
def incident(incident_id: int) -> IncidentStory:
    with resources().database.transaction() as session:
        return incident_reads.story(session, incident_id)


@blueprint.get("/incidents/<int:incident_id>/alerts")
@access("read", limit="alerts")
@blueprint.arguments(MembersQuery, location="query")
@blueprint.response(200, MembersAnswer)
@blueprint.doc(summary="The alerts of an incident, those that came last first")
def alerts_of_incident(query: dict[str, Any], incident_id: int) -> dict[str, Any]:
    with resources().database.transaction() as session:
        incident_reads.known(session, incident_id)
        found = incident_reads.alerts(
            session, incident_id, limit=query["limit"] + 1, before_id=listing.before_id(query)
        )
    return listing.answer(found, query["limit"], lambda one: (one.alert.id,))


@blueprint.post("/incidents/<int:incident_id>/ack")
@access("write", limit="alerts")
@blueprint.arguments(AcknowledgementBody, required=False)
@blueprint.response(200, IncidentStoryAnswer)
@blueprint.doc(summary="Acknowledge an incident")
def acknowledge(body: dict[str, Any], incident_id: int) -> IncidentStory:
    """Saying the same again changes nothing; its alerts are left as they are."""
    by = caller().identity
    with resources().database.transaction() as session:
        changed = incidents.acknowledge(
            session, incident_id, by=by, note_=body.get("note"), at=times.now(), request_id=request_id()
        )
        if changed:
            facts = {"incident_id": incident_id}
            acts.record(session, "incident_acknowledged", subject=f"incident:{incident_id}", facts=facts)
        story = incident_reads.story(session, incident_id)
    if changed:
        resources().background.relay()
    return story
