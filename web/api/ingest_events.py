"""Takes change events, the evidence that people look for first."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from db.queries import events, outbox
from sensus import audit, metrics, times
from web import answers, bodies
from web.access import access, caller
from web.openapi import ingest_doc
from web.request_context import request_id
from web.resources import resources
from web.schemas import ingest_events
from web.schemas.ingest_events import EventIn
from web.schemas.receipts import EventReceipt

blueprint = Blueprint("ingest-events", __name__, url_prefix="/api/v1", description="Change events come in")

_EXAMPLE = {
    "kind": "deploy",
    "title": "checkout 2.41.0",
    "labels": {"service": "checkout"},
    "timestamp": "2026-01-31T12:00:00Z",
    "url": "https://ci.example/runs/4711",
}


@blueprint.post("/events")
@access("write")
@blueprint.doc(**ingest_doc("Send a change event", EventIn, EventReceipt, example=_EXAMPLE))
def receive_event() -> Response:
    """A deploy, a change of configuration or scale, and the like.  Sent again with its timestamp, it is stored once."""
    with metrics.timed(metrics.processing_duration.labels("events")):
        event = ingest_events.read(bodies.read_json_bytes(), times.now())
        actor = caller().identity
        with resources().database.transaction() as session:
            event_id, new = events.store(session, event, actor=actor)
            outbox.add(
                session,
                outbox.NewEntry(
                    stream=audit.RAW,
                    type="event",
                    facts={"event_id": event_id, "kind": event.kind, "duplicate": not new},
                    request_id=request_id(),
                    actor=actor,
                ),
            )
    resources().background.relay()
    metrics.events_received.labels(event.kind).inc()
    return answers.accepted(
        EventReceipt(accepted=1, duplicates=0 if new else 1, event_id=event_id, request_id=request_id())
    )
