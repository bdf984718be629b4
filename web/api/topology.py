"""Who calls whom: given by people, and answered with what labels and traces told."""

from __future__ import annotations

from typing import Any

from flask import Response

from db.queries import topology
from sensus import metrics
from sensus.errors import Invalid
from web import answers, bodies, pages
from web.access import access
from web.arguments import StrictBlueprint
from web.openapi import ingest_doc
from web.request_context import request_id
from web.resources import resources
from web.schemas import topology as schema
from web.schemas.topology import TopologyAnswer, TopologyIn, TopologyQuery, TopologyReceipt

blueprint = StrictBlueprint("topology", __name__, url_prefix="/api/v1", description="Who calls whom")

_EXAMPLE = {"edges": [{"caller": "frontend", "callee": "checkout"}, ["checkout", "orders-db"]]}


@blueprint.post("/topology")
@access("write")
@blueprint.doc(**ingest_doc("Say who calls whom", TopologyIn, TopologyReceipt, example=_EXAMPLE))
def give() -> Response:
    """Edges that are there already are seen again.  `[[caller, callee], ...]` alone is understood as well."""
    given = schema.read(bodies.read_json_bytes())
    with resources().database.transaction() as session:
        removed = topology.replace_given(session, given.edges) if given.replace else 0
        created = topology.store(session, given.edges, source="api")
    metrics.topology_edges.labels("api").inc(created)
    return answers.accepted(TopologyReceipt(len(given.edges), created, removed, request_id()))


@blueprint.get("/topology")
@access("read")
@blueprint.arguments(TopologyQuery, location="query")
@blueprint.response(200, TopologyAnswer)
@blueprint.doc(summary="Who calls whom and what runs where, with who told of it and when it was seen")
def everything(query: dict[str, Any]) -> dict[str, Any]:
    with resources().database.transaction() as session:
        found = topology.listing(session, limit=query["limit"] + 1, after=_after(query), service=query.get("service"))
    page = found[: query["limit"]]
    more = len(found) > len(page)
    last = page[-1] if more else None
    cursor = None if last is None else pages.encode(last.caller, last.callee, last.source)
    return {"items": page, "next_cursor": cursor}


def _after(query: dict[str, Any]) -> tuple[str, str, str] | None:
    cursor = query.get("cursor")
    if cursor is None:
        return None
    caller, callee, source = pages.decode(cursor, str, str, str)
    if not (isinstance(caller, str) and isinstance(callee, str) and isinstance(source, str)):
        raise Invalid("the cursor is none of ours")
    return caller, callee, source
