"""An application with a few guarded views, beside those of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask_smorest import Blueprint

from sensus.settings import Settings
from web import passwords
from web.access import access, caller

blueprint = Blueprint("probe", __name__, url_prefix="/probe")


@blueprint.get("/read")
@access("read")
def read() -> dict[str, object]:
    return {"identity": caller().identity}


@blueprint.post("/read")
@access("read")
def post() -> dict[str, object]:
    return {"identity": caller().identity}


@blueprint.get("/metrics")
@access("read", limit="metrics")
def metrics() -> dict[str, object]:
    return {}


@pytest.fixture
def few(settings: Settings) -> Settings:
    """Settings with small limits."""
    return settings.model_copy(update={"rate_limit_default": 3, "rate_limit_metrics": 2})


@pytest.fixture
def guarded(few: Settings) -> Iterator[Flask]:
    from web.app import create_app
    from web.resources import resources

    made = create_app(few)
    made.register_blueprint(blueprint)
    yield made
    with made.app_context():
        resources().close()


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    # The cost of a guess is a figure of production, not of the tests.
    monkeypatch.setattr(passwords, "ROUNDS", 4)
