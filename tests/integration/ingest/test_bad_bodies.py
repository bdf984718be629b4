"""Whatever is sent, the answer is one of those that are promised, in the one shape of errors."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

PATHS = ("/api/v1/alerts", "/api/v1/metrics", "/api/v1/events", "/api/v1/topology", "/api/v1/events/argocd")


UNREADABLE = (
    b"",
    b"   ",
    b"{",
    b'{"alerts": [}',
    b"[1,]",
    b"NaN",
    b'[{"labels": {"a": NaN}}]',
    b'[{"metric_name": "a", "metric_value": NaN}]',
    b'{"metric_name": "a", "metric_value": Infinity}',
    b'{"metric_name": "a", "metric_value": -Infinity}',
    b"[" * 100_000,
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'["\xff\xfe"]',
    b'{"alerts": [{"labels": {"a": "\xc3"}}]}',
    b'[{"labels": {"a": "\\ud800"}}]',
    b'[{"labels": {"a": "\\udc00x"}}]',
    b'[{"labels": {"\\ud800": "a"}}]',
    b'{"metric_name": "\\ud83d", "metric_value": 1}',
    b"5",
    b'"alerts"',
    b"null",
    b"true",
    b"[1] [2]",
    b"\x00",
)


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_json_object_or_list_is_unreadable(writer: FlaskClient, path: str) -> None:
    for body in UNREADABLE:
        answer = writer.post(path, data=body, content_type="application/json")
        assert answer.status_code == 400, (body[:40], answer.text)
        assert answer.get_json()["code"] == 400
        assert answer.get_json()["request_id"]


@pytest.mark.parametrize("path", ["/api/v1/topology", "/api/v1/events/argocd"])
def test_a_number_that_no_machine_holds_is_told_where_everything_is_opened(writer: FlaskClient, path: str) -> None:
    answer = writer.post(path, data=b'{"edges": [], "x": 1e999}', content_type="application/json")
    assert answer.status_code == 400, answer.text
    assert "out of range" in answer.get_json()["message"]


def test_five_megabytes_are_too_large(writer: FlaskClient) -> None:
    body = b'[{"labels": {"a": "' + b"x" * 5_000_000 + b'"}}]'
    for path in PATHS:
        answer = writer.post(path, data=body, content_type="application/json")
        assert (answer.status_code, answer.get_json()["status"]) == (413, "Request Entity Too Large")
        assert "SENSUS_MAX_BODY_BYTES" in answer.get_json()["message"]


def test_another_content_type_is_unsupported(writer: FlaskClient) -> None:
    for path in PATHS:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
            assert writer.post(path, data=b"[]", content_type=kind).status_code == 415
        answer = writer.post(path, json=[], headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 415
        assert answer.get_json()["code"] == 415


def test_another_method_is_not_allowed(writer: FlaskClient) -> None:
    for path in PATHS:
        answer = writer.delete(path)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]
        assert answer.get_json()["code"] == 405


def test_an_object_without_alerts_is_told_what_is_missing(writer: FlaskClient) -> None:
    answer = writer.post("/api/v1/alerts", json={"status": "firing"})
    assert (answer.status_code, answer.get_json()["errors"]) == (422, {"alerts": "missing"})
    answer = writer.post("/api/v1/alerts", json={"alerts": "all"})
    assert (answer.status_code, answer.get_json()["errors"]) == (422, {"alerts": "must be a list"})


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(["firing", "resolved", "a\0b", "0001-01-01T00:00:00Z", "2026-11-23T12:00:00Z", "infinity", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def shaped(fields: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with these fields, each of which may be anything or missing."""
    return st.fixed_dictionaries({}, optional={name: right | anything for name, right in fields.items()})


labels = st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3)
moments = st.sampled_from(["2026-11-23T12:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]) | st.floats()
alerts = shaped(
    {
        "labels": labels,
        "annotations": labels,
        "status": st.sampled_from(["firing", "resolved"]),
        "startsAt": moments,
        "endsAt": moments,
        "fingerprint": st.text(max_size=16),
    }
)
samples = shaped(
    {"metric_name": st.text(max_size=6), "metric_value": st.floats(), "labels": labels, "timestamp": moments}
)
events = shaped(
    {"kind": st.sampled_from(["deploy"]), "title": st.text(max_size=6), "labels": labels, "timestamp": moments}
)
bodies = (
    anything
    | st.lists(alerts | samples, max_size=4)
    | shaped(
        {"alerts": st.lists(alerts, max_size=4), "groupKey": st.text(max_size=4), "truncatedAlerts": st.integers()}
    )
    | shaped({"metrics": st.lists(samples, max_size=4)})
    | events
    | samples
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, path=st.sampled_from(PATHS))
def test_any_json_has_one_of_the_promised_answers(writer: FlaskClient, body: Any, path: str) -> None:
    answer = writer.post(path, data=json.dumps(body).encode(), content_type="application/json")
    assert answer.status_code in {202, 400, 413, 422}, answer.text
    told = answer.get_json()
    assert told["request_id"] == answer.headers["X-Request-ID"]
    if answer.status_code != 202:
        assert set(told) - {"errors"} == {"code", "status", "message", "request_id"}


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200), path=st.sampled_from(PATHS))
def test_any_bytes_have_one_of_the_promised_answers(writer: FlaskClient, body: bytes, path: str) -> None:
    assert writer.post(path, data=body, content_type="application/json").status_code in {202, 400, 422}


@pytest.mark.parametrize("path", [*PATHS, "/api/v1/analysis/1/feedback"])
def test_a_body_of_unknown_length_is_not_cut_where_the_limit_is(app: Flask, writer: FlaskClient, path: str) -> None:
    most = app.config["MAX_CONTENT_LENGTH"]
    start = b'[{"labels": {"alertname": "cut"}}]'
    body = start + b" " * (most - len(start)) + b"and more"
    answer = writer.post(
        path,
        input_stream=io.BytesIO(body),
        content_type="application/json",
        # As gunicorn marks a chunked body.
        environ_overrides={"wsgi.input_terminated": True},
        headers={"Transfer-Encoding": "chunked"},
    )
    assert answer.status_code == 413, answer.text
