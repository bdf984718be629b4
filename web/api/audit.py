"""Who did what, as the database keeps it for a year."""

from __future__ import annotations

from typing import Any

from db.queries import audit
from web import listing
from web.access import access
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas.access import AuditAnswer, AuditQuery

blueprint = StrictBlueprint("audit", __name__, url_prefix="/api/v1/audit", description="Who did what")


@blueprint.get("")
@access("admin")
@blueprint.arguments(AuditQuery, location="query")
@blueprint.response(200, AuditAnswer)
@blueprint.doc(summary="Log-ins, users, keys, acknowledgements and activations, newest first")
def records(query: dict[str, Any]) -> dict[str, Any]:
    with resources().database.transaction() as session:
        found = audit.newest(
            session,
            limit=query["limit"] + 1,
            before=listing.before_id(query),
            action=query.get("action"),
            actor=query.get("actor"),
            since=query.get("since"),
            until=query.get("until"),
        )
    return listing.answer(found, query["limit"], lambda record: (record.id,))
