"""Log in with a password for a token; who am I?"""

from __future__ import annotations

from typing import Any

from flask import request

from db.models.access import SCOPES
from db.queries import access as access_rows
from sensus.errors import Invalid, Unauthenticated, Unreadable
from web import acts, credentials, limits, passwords
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.identity import KEY_PREFIX
from web.resources import resources
from web.schemas.access import MeAnswer, TokenAnswer

blueprint = StrictBlueprint("auth", __name__, url_prefix="/api/v1/auth", description="Tokens")


@blueprint.post("/token")
@blueprint.doc(
    summary="A token for name and password, by Basic or as OAuth2 client credentials",
    security=[{"basic": []}],
    requestBody={
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                        "scope": {"type": "string"},
                    },
                }
            }
        }
    },
)
@blueprint.response(200, TokenAnswer)
def token() -> dict[str, Any]:
    return _log_in()


@blueprint.get("/me")
@access(None)
@blueprint.doc(summary="Who is calling, with which scopes, until when")
@blueprint.response(200, MeAnswer)
def me() -> dict[str, Any]:
    who = caller()
    return {
        "name": who.name,
        "kind": who.kind,
        "scopes": sorted(who.scopes),
        "expires_at": who.expires_at,
    }


def _answer() -> dict[str, Any]:
    name, secret = _given()
    if secret.startswith(KEY_PREFIX):
        return _for_key(name, secret)
    with resources().database.transaction() as session:
        user = access_rows.user(session, name)
    right = passwords.matches(secret, None if user is None else user.password_hash)
    _record(f"user:{name[:200]}", succeeded=right)
    if user is None or not right:
        raise Unauthenticated("name or password is wrong")
    granted = _narrowed(frozenset(user.scopes))
    return _token(credentials.token(user, granted), granted)


def _for_key(name: str, secret: str) -> dict[str, Any]:
    # A sender that knows only OAuth2 sends its key as the client's secret; the key is a token already.
    try:
        known = credentials.known().caller(f"Bearer {secret}")
    except Unauthenticated:
        _record(f"client:{name[:200]}", succeeded=False)
        raise
    _record(known.identity, succeeded=True)
    # A key is what it is: less can't be made of it, and more is refused.
    _narrowed(known.scopes)
    return _token(secret, known.scopes)


def _record(actor: str, *, succeeded: bool) -> None:
    opened = resources()
    with opened.database.transaction() as session:
        acts.record(session, "log_in", actor=actor, succeeded=succeeded)
    opened.background.relay()


def _token(text: str, scopes: frozenset[str]) -> dict[str, Any]:
    return {
        "access_token": text,
        "expires_in": resources().settings.token_minutes * 60,
        "scope": " ".join(scope for scope in SCOPES if scope in scopes),
    }


def _given() -> tuple[str, str]:
    grant = request.form.get("grant_type", "client_credentials")
    if grant != "client_credentials":
        raise Unreadable("only the grant type client_credentials is supported")
    header = request.headers.get("Authorization", "")
    scheme, _, credential = header.partition(" ")
    if scheme.lower() == "basic":
        name, password = credentials.basic(credential.strip())
    else:
        name, password = request.form.get("client_id", ""), request.form.get("client_secret", "")
    if not name or not password or "\0" in name:
        raise Unauthenticated("no name and password; send them by Basic, or as client_id and client_secret")
    return name, password


def _narrowed(scopes: frozenset[str]) -> frozenset[str]:
    asked = frozenset(request.form.get("scope", "").split())
    if not asked <= scopes:
        raise Invalid("these scopes can't be granted", {"scope": f"only {' '.join(sorted(scopes))}"})
    return asked or scopes


_log_in = limits.limited("default", _answer)
