"""May this caller do this?  Who it is, how often it asked, and its scopes, before the view sees anything."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeVar, cast

from flask import Flask, g, request
from flask_smorest import Blueprint

from sensus.errors import Forbidden, Unauthenticated
from web import credentials, limits, openapi
from web.credentials import Caller
from web.resources import Resources

F = TypeVar("F", bound=Callable[..., Any])
Scope = Literal["read", "write", "admin"]


def install(app: Flask, opened: Resources) -> None:
    """Prepare tokens, keys and limits of this application."""
    credentials.install(app, opened.settings, opened.database)
    limits.install(app, opened)


def access(
    scope: Scope | None, *, limit: limits.Category = "default", proof: Callable[[], Caller | None] | None = None
) -> Callable[[F], F]:
    """Guard a view: who calls, how often, and whether with this scope (None: any).

    Each scope is checked by itself; `admin` does not imply the others.  Stands above every other decorator, so that
    a stranger's body is not even parsed. `proof` is another way to show who one is, for senders that know no
    Authorization; where it answers None, the usual one counts.
    """

    def guard(view: F) -> F:
        counted = limits.limited(limit, _with_scope(scope, view))

        @wraps(view)
        def guarded(*arguments: Any, **options: Any) -> Any:
            g.caller = _authenticated(proof)
            return counted(*arguments, **options)

        text = "any authenticated caller" if scope is None else f"scope `{scope}`"
        describe = Blueprint.doc(security=[{openapi.BEARER: []}, {openapi.BASIC: []}], **{"x-sensus-access": text})
        return cast(F, describe(guarded))

    return guard


def caller() -> Caller:
    """Who calls; in a guarded view."""
    return cast(Caller, g.caller)


def _with_scope(scope: Scope | None, view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def scoped(*arguments: Any, **options: Any) -> Any:
        if scope is not None and scope not in caller().scopes:
            raise Forbidden(f"this needs the scope `{scope}`; {caller().name} has {_listed(caller().scopes)}")
        return view(*arguments, **options)

    return scoped


def _authenticated(proof: Callable[[], Caller | None] | None) -> Caller:
    try:
        known = None if proof is None else proof()
        return known or credentials.known().caller(request.headers.get("Authorization"))
    except Unauthenticated:
        limits.count_stranger()
        raise


def _listed(scopes: frozenset[str]) -> str:
    return ", ".join(f"`{scope}`" for scope in sorted(scopes)) or "none"
