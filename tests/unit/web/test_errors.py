"""Whatever goes wrong is answered in one shape, with nothing of the inside."""

from __future__ import annotations

import pytest
from flask import Flask, abort

from sensus import errors as told
from web import errors, request_context


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    request_context.install(made)
    errors.install(made)
    return made


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (told.Unreadable("not JSON"), 400),
        (told.Unauthenticated("who are you"), 401),
        (told.Forbidden("not you"), 403),
        (told.NotFound("no such alert"), 404),
        (told.Conflict("it is over"), 409),
        (told.Invalid("bad fields", {"a.0": "missing"}), 422),
        (errors.RateLimited("too many", retry_after_s=7), 429),
        (told.Unavailable("the database is away"), 503),
    ],
)
def test_each_of_our_errors_has_its_status(app: Flask, error: Exception, status: int) -> None:
    @app.get("/")
    def view() -> str:
        raise error

    answer = app.test_client().get("/", headers={"X-Request-ID": "r-1"})
    body = answer.get_json()
    assert (answer.status_code, body["code"], body["message"], body["request_id"]) == (
        status,
        status,
        str(error),
        "r-1",
    )
    assert body.get("errors") == ({"a.0": "missing"} if status == 422 else None)
    assert ("Retry-After" in answer.headers) == (status in {429, 503})
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_what_nobody_foresaw_says_nothing_of_the_inside(app: Flask) -> None:
    @app.get("/")
    def view() -> str:
        raise RuntimeError("SELECT password FROM users")

    answer = app.test_client().get("/")
    assert answer.status_code == 500
    assert "password" not in answer.text
    assert answer.get_json()["request_id"] == answer.headers["X-Request-ID"]


def test_errors_of_the_framework_have_the_same_shape(app: Flask) -> None:
    @app.get("/")
    def view() -> str:
        abort(418)

    answer = app.test_client().get("/")
    assert answer.status_code == 418
    assert set(answer.get_json()) == {"code", "status", "message", "request_id"}
