"""People who log in."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from db.models import User
from db.queries import access as access_rows
from sensus.errors import Forbidden, NotFound, Unauthenticated
from web import acts, identity, pages, passwords
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import client_address, request_id
from web.resources import resources
from web.schemas.access import NewPasswordBody, NewUserBody, PageQuery, UserAnswer, UsersAnswer

blueprint = StrictBlueprint("users", __name__, url_prefix="/api/v1/users", description="People who log in")


@blueprint.get("")
@access("admin")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, UsersAnswer)
@blueprint.doc(summary="People, by name")
def users(query: dict[str, Any]) -> dict[str, Any]:
    after = str(pages.decode(query["cursor"], str)[0]) if "cursor" in query else None
    with resources().database.transaction() as session:
        found = access_rows.users(session, limit=query["limit"] + 1, after=after)
    page = found[: query["limit"]]
    return {"items": page, "next_cursor": pages.encode(page[-1].name) if len(found) > len(page) else None}


@blueprint.post("")
@access("admin")
@blueprint.arguments(NewUserBody)
@blueprint.response(201, UserAnswer)
@blueprint.doc(summary="Add a person")
def create(asked: dict[str, Any]) -> User:
    who = caller()
    opened = resources()
    with opened.database.transaction() as session:
        made = identity.make_user(
            session,
            asked["name"],
            asked["password"],
            asked["scopes"],
            actor=who.identity,
            request_id=request_id(),
            client_address=client_address(),
        )
    opened.background.relay()
    return made


@blueprint.delete("/<string:name>")
@access("admin")
@blueprint.response(204)
@blueprint.doc(summary="Remove a person; their tokens end within seconds")
def remove(name: str) -> None:
    opened = resources()
    with opened.database.transaction() as session:
        access_rows.delete_user(session, name)
        _record(session, "user_deleted", name)
    opened.background.relay()


@blueprint.put("/<string:name>/password")
@access(None)
@blueprint.arguments(NewPasswordBody)
@blueprint.response(204)
@blueprint.doc(summary="Set a password: one's own with the old one, another's with scope admin; ends older tokens")
def set_password(asked: dict[str, Any], name: str) -> None:
    who = caller()
    opened = resources()
    with opened.database.transaction() as session:
        user = access_rows.user(session, name)
    if who.kind == "user" and who.name == name and user is not None:
        if not passwords.matches(asked.get("old_password", ""), user.password_hash):
            with opened.database.transaction() as session:
                _record(session, "password_changed", name, succeeded=False)
            opened.background.relay()
            raise Unauthenticated("the old password is wrong; send it as `old_password`")
    elif "admin" not in who.scopes:
        raise Forbidden("another's password needs the scope `admin`")
    if user is None:
        raise NotFound(f"there is no user {name}")
    hashed = passwords.hashed(asked["password"])
    with opened.database.transaction() as session:
        access_rows.set_password(session, name, hashed)
        _record(session, "password_changed", name)
    opened.background.relay()


def _record(session: Session, action: str, name: str, *, succeeded: bool = True) -> None:
    acts.record(session, action, subject=f"user:{name}", succeeded=succeeded)
