"""API keys of senders and programs."""

from __future__ import annotations

from typing import Any

from db.queries import access as access_rows
from web import acts, identity, listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import client_address, request_id
from web.resources import resources
from web.schemas.access import KeysAnswer, MadeKeyAnswer, NewKeyBody, PageQuery

blueprint = StrictBlueprint("keys", __name__, url_prefix="/api/v1/keys", description="API keys of senders and programs")


@blueprint.get("")
@access("admin")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, KeysAnswer)
@blueprint.doc(summary="Keys, newest first, without their secrets")
def keys(query: dict[str, Any]) -> dict[str, Any]:
    with resources().database.transaction() as session:
        found = access_rows.keys(session, limit=query["limit"] + 1, before=listing.before_id(query))
    return listing.answer(found, query["limit"], lambda key: (key.id,))


@blueprint.post("")
@access("admin")
@blueprint.arguments(NewKeyBody)
@blueprint.response(201, MadeKeyAnswer)
@blueprint.doc(summary="Make a key; its secret is shown in this answer only")
def create(asked: dict[str, Any]) -> dict[str, Any]:
    opened = resources()
    rate = asked.get("rate", opened.settings.rate_limit_keys)
    with opened.database.transaction() as session:
        key, secret = identity.make_key(
            session,
            asked["name"],
            asked["scopes"],
            rate=rate,
            actor=caller().identity,
            request_id=request_id(),
            client_address=client_address(),
        )
    opened.background.relay()
    shown = ("id", "name", "scopes", "rate", "created_by", "created_at", "last_used_at", "revoked_at")
    return {**{name: getattr(key, name) for name in shown}, "key": secret}


@blueprint.delete("/<int:key_id>")
@access("admin")
@blueprint.doc(summary="Revoke a key; it opens nothing any more within five seconds")
@blueprint.response(204)
def revoke(key_id: int) -> None:
    opened = resources()
    with opened.database.transaction() as session:
        access_rows.revoke_key(session, key_id)
        acts.record(session, "key_revoked", subject=f"key:{key_id}")
    opened.background.relay()
