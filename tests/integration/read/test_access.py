"""Each reading endpoint asks who calls, and whether with the right scope."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

READS = [
    "/api/v1/alerts",
    "/api/v1/alerts/1",
    "/api/v1/alerts/1/analysis",
    "/api/v1/metrics?metric_name=m",
    "/api/v1/scores?metric_name=m",
    "/api/v1/anomalies",
    "/api/v1/analysis/latest",
    "/api/v1/analysis/1",
    "/api/v1/models",
    "/api/v1/detectors",
    "/api/v1/forecast?metric_name=m",
    "/api/v1/tasks/00000000-0000-0000-0000-000000000000",
]
WRITES = [
    "/api/v1/alerts/1/ack",
    "/api/v1/alerts/1/analysis",
    "/api/v1/analysis/1/feedback",
    "/api/v1/anomalies/1/feedback",
]
ADMIN = [f"/api/v1/models/{verb}" for verb in ("train", "evaluate", "v1/activate", "v1/challenge", "rollback")]
CHOICE = {"match": "m", "detector": "ensemble"}


@pytest.mark.parametrize("path", READS)
def test_reading_needs_the_scope_read(client: FlaskClient, as_key: Callable[..., FlaskClient], path: str) -> None:
    assert client.get(path).status_code == 401
    assert as_key("write", "admin").get(path).status_code == 403
    assert as_key("read").get(path).status_code in (200, 404)


@pytest.mark.parametrize("path", WRITES)
def test_acting_needs_the_scope_write(client: FlaskClient, as_key: Callable[..., FlaskClient], path: str) -> None:
    body = {"verdict": "real"} if "anomalies" in path else {"helpful": True} if path.endswith("feedback") else {}
    assert client.post(path, json=body).status_code == 401
    assert as_key("read", "admin").post(path, json=body).status_code == 403
    assert as_key("write").post(path, json=body).status_code == 404


@pytest.mark.parametrize("path", ADMIN)
def test_work_on_models_needs_the_scope_admin(
    client: FlaskClient, as_key: Callable[..., FlaskClient], path: str
) -> None:
    assert client.post(path).status_code == 401
    assert as_key("read", "write").post(path).status_code == 403
    assert as_key("admin").post(path).status_code in (202, 404, 409)


def test_choosing_detectors_needs_the_scope_admin(client: FlaskClient, as_key: Callable[..., FlaskClient]) -> None:
    for who, status in ((client, 401), (as_key("read", "write"), 403)):
        assert who.post("/api/v1/detectors", json=CHOICE).status_code == status
        assert who.delete("/api/v1/detectors/1").status_code == status
    assert as_key("admin").post("/api/v1/detectors", json=CHOICE).status_code == 201
