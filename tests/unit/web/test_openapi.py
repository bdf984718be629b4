"""The description of the API agrees with what reads the bodies, and asks no other server."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from sensus.settings import Settings


@pytest.fixture(scope="module")
def app() -> Flask:
    # Nothing listens there, and nothing is connected before the first request.
    from web.app import create_app

    return create_app(
        Settings(
            _env_file=None,
            database_url=SecretStr("postgresql://nobody@127.0.0.1:9/none"),
            redis_url=SecretStr("redis://127.0.0.1:9/0"),
            jwt_secret=SecretStr("x" * 32),
        )
    )


@pytest.fixture(scope="module")
def described(app: Flask) -> dict[str, Any]:
    described: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return described


def test_every_route_of_the_api_is_described(app: Flask, described: dict[str, Any]) -> None:
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(("/api/", "/v1/")):
            continue
        path = "/".join(
            "{" + part.strip("<>").split(":")[-1] + "}" if part.startswith("<") else part
            for part in rule.rule.split("/")
        )
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert method.lower() in described["paths"].get(path, {}), f"{method} {path}"


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for inner in part.values() for found in references(inner)]
        return [found for inner in part for found in references(inner)] if isinstance(part, list) else []

    for reference in references(described):
        there: Any = described
        for name in reference.removeprefix("#/").split("/"):
            assert name in there, reference
            there = there[name]


def test_what_ingest_takes_is_described_from_the_types_that_read_it(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert schemas["SampleIn"]["required"] == ["metric_name", "metric_value"]
    assert schemas["SampleIn"]["properties"]["metric_value"] == {"type": "number"}
    assert schemas["AlertIn"]["properties"]["labels"]["additionalProperties"] == {"type": "string"}
    assert schemas["EventIn"]["properties"]["kind"]["enum"] == ["config", "deploy", "feature_flag", "other", "scale"]
    for path, receipt in (
        ("/api/v1/alerts", "AlertsReceipt"),
        ("/api/v1/metrics", "SamplesReceipt"),
        ("/api/v1/events", "EventReceipt"),
    ):
        post = described["paths"][path]["post"]
        answer = post["responses"]["202"]["content"]["application/json"]["schema"]
        assert answer == {"$ref": f"#/components/schemas/{receipt}"}
        assert post["security"]


def test_the_examples_can_be_read(described: dict[str, Any]) -> None:
    import json

    from sensus import times
    from web.schemas import ingest_alerts, ingest_events, ingest_metrics

    def example(path: str) -> bytes:
        content = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        return json.dumps(content["example"]).encode()

    now = times.parse("2026-01-31T12:00:00Z")
    assert len(ingest_alerts.read(example("/api/v1/alerts"), now).messages) == 1
    assert len(ingest_metrics.read(example("/api/v1/metrics"), now, retention_days=90).samples) == 1
    assert ingest_events.read(example("/api/v1/events"), now).kind == "deploy"


def test_json_null_is_said_as_openapi_3_0_says_it(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.0")
    assert "'null'" not in str(described["components"]["schemas"])
    assert described["components"]["schemas"]["SampleIn"]["properties"]["labels"]["nullable"] is True


def test_every_answer_has_the_headers_that_browsers_obey(app: Flask) -> None:
    client: FlaskClient = app.test_client()
    answer = client.get("/health/live")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert client.get("/docs").headers["Content-Security-Policy"].startswith("default-src 'self'")
