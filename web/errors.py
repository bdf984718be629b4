"""Which exception is which answer?  One table, one shape, never a traceback and never SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus

import psycopg
from flask import Flask, Response, jsonify
from marshmallow import Schema, fields
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from db.session import is_connection_failure
from sensus import errors, logs
from web.request_context import request_id

log = logs.get_logger(__name__)

STATUS: Mapping[type[errors.SensusError], HTTPStatus] = {
    errors.Unreadable: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
RETRY_AFTER_S = 5
# Cancelled by the statement timeout, deadlock, serialization failure, lock timeout: the next try may succeed.
_PASSING = frozenset({"57014", "40P01", "40001", "55P03"})
_WHAT_NOBODY_FORESAW = "something went wrong; the log has the story under this request id"


class RateLimited(errors.SensusError):
    """Too many requests.  `status` is 503 for senders that throw away what got 429."""

    def __init__(self, message: str, *, retry_after_s: int, status: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.status = status


class ErrorSchema(Schema):
    """Every answer that is not a success."""

    code = fields.Integer(required=True, metadata={"description": "HTTP status code"})
    status = fields.String(required=True, metadata={"description": "Name of the status"})
    message = fields.String(required=True, metadata={"description": "What is wrong, in one line"})
    errors = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "Path of each bad field, and why"}
    )
    request_id = fields.String(required=True, metadata={"description": "Names this request in the log"})


def install(app: Flask) -> None:
    """Answer every exception in the one shape."""
    app.register_error_handler(errors.SensusError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(Exception, _unforeseen)


def answer(
    status: HTTPStatus,
    message: str,
    *,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response in the shape of errors."""
    body: dict[str, object] = {"code": status.value, "status": status.phrase, "message": message}
    if fields:
        body["errors"] = dict(fields)
    body["request_id"] = request_id()
    response = jsonify(body)
    response.status_code = status.value
    response.headers.extend(dict(headers or {}))
    return response


def _ours(error: errors.SensusError) -> Response:
    if isinstance(error, RateLimited):
        return answer(error.status, str(error), headers={"Retry-After": str(error.retry_after_s)})
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:
        return _unforeseen(error)
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="sensus", Basic realm="sensus"'
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer(status, str(error), fields=getattr(error, "fields", None), headers=headers)


def _http(error: HTTPException) -> Response:
    ready = error.get_response()
    status = HTTPStatus(ready.status_code)
    if status < HTTPStatus.BAD_REQUEST:
        # A redirect to the canonical path is an exception in werkzeug, and no error.
        return Response(ready.get_data(), status, headers=list(ready.headers.items()))
    given: Mapping[str, object] = getattr(error, "data", None) or {}
    found = dict(_flattened(given.get("errors") or given.get("messages") or {}))
    message = given.get("message") or ("some fields are not as they must be" if found else error.description)
    kept = {name: value for name, value in ready.headers.items() if name in {"Allow", "WWW-Authenticate"}}
    extra = given.get("headers")
    return answer(
        status,
        str(message or status.description),
        fields=found,
        headers={**kept, **(extra if isinstance(extra, Mapping) else {})},
    )


def _database(error: DBAPIError) -> Response:
    original = error.orig
    passing = isinstance(original, psycopg.Error) and original.sqlstate in _PASSING
    if not passing and not is_connection_failure(error):
        return _unforeseen(error)
    log.warning("database_refused", kind=type(original).__name__)
    return _ours(errors.Unavailable("the database is away or busy; try again shortly"))


def _unforeseen(error: Exception) -> Response:
    log.error("request_failed", exc_info=error)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, _WHAT_NOBODY_FORESAW)


def _flattened(messages: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """`{"json": {"0": {"name": ["Missing."]}}}` as `("0.name", "Missing.")`."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            # The outermost name is where webargs looked (json, query), which the caller knows.
            yield from _flattened(inner, path if not path and name in _LOCATIONS else (*path, str(name)))
    elif isinstance(messages, list | tuple):
        yield ".".join(path) or "body", " ".join(str(message) for message in messages)
    else:
        yield ".".join(path) or "body", str(messages)


_LOCATIONS = frozenset({"json", "query", "querystring", "form", "headers", "cookies", "files", "json_or_form", "path"})
