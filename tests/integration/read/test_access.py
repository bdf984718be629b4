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
    "/api/v1/tasks/00000000-0000-0000-0000-000000000000",
]
WRITES = ["/api/v1/alerts/1/ack", "/api/v1/alerts/1/analysis", "/api/v1/analysis/1/feedback"]
ADMIN = ["/api/v1/models/train", "/api/v1/models/evaluate", "/api/v1/models/v1/activate"]


@pytest.mark.parametrize("path", READS)
def test_reading_needs_the_scope_read(client: FlaskClient, as_key: Callable[..., FlaskClient], path: str) -> None:
    assert client.get(path).status_code == 401
    assert as_key("write", "admin").get(path).status_code == 403
    assert as_key("read").get(path).status_code in (200, 404)


@pytest.mark.parametrize("path", WRITES)
def test_acting_needs_the_scope_write(client: FlaskClient, as_key: Callable[..., FlaskClient], path: str) -> None:
    body = {"helpful": True} if path.endswith("feedback") else {}
    assert client.post(path, json=body).status_code == 401
    assert as_key("read", "admin").post(path, json=body).status_code == 403
    assert as_key("write").post(path, json=body).status_code == 404


@pytest.mark.parametrize("path", ADMIN)
def test_work_on_models_needs_the_scope_admin(
    client: FlaskClient, as_key: Callable[..., FlaskClient], path: str
) -> None:
    assert client.post(path).status_code == 401
    assert as_key("read", "write").post(path).status_code == 403
    assert as_key("admin").post(path).status_code in (202, 404)
