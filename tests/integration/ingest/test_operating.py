"""Probes, own metrics and the description of the API."""

from __future__ import annotations

from flask.testing import FlaskClient


def test_it_is_ready_when_the_database_has_this_releases_tables(client: FlaskClient) -> None:
    assert client.get("/health/ready").status_code == 200
    assert client.get("/health/live").status_code == 200


def test_health_names_each_server_and_is_degraded_without_workers(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.get_json()["status"] == "degraded"
    checks = {name: check["ok"] for name, check in answer.get_json()["checks"].items()}
    assert checks == {"database": True, "redis": True, "workers": False, "ollama": False}


def test_metrics_tell_of_requests_unfinished_work_and_queues(client: FlaskClient) -> None:
    client.get("/openapi.json")
    text = client.get("/metrics").text
    for expected in (
        'flask_http_request_total{method="GET",status="200"}',
        'sensus_unfinished{kind="series"} 0.0',
        'sensus_unfinished{kind="audit"} 0.0',
        "sensus_ingest_lag_seconds 0.0",
        'sensus_queue_length{queue="anomaly"} 0.0',
        "sensus_process_resident_memory_bytes{",
        "sensus_memory_limit_bytes ",
        "sensus_memory_used_bytes ",
        'sensus_alerts_received_total{status="firing"}',
        'sensus_quarantined_total{reason="nul"}',
        "sensus_samples_late_total",
        'sensus_reconciler_runs_total{outcome="done"}',
        "sensus_alerts_stale_total",
        "sensus_requests_refused_total",
    ):
        assert expected in text


def test_the_documentation_needs_no_other_server(client: FlaskClient) -> None:
    assert client.get("/").headers["Location"] == "/docs"
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text.replace("<!doctype html>", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "start.js"):
        answer = client.get(f"/docs/assets/{asset}")
        assert answer.status_code == 200
        assert len(answer.data) > 50


def test_an_unknown_path_is_answered_in_the_shape_of_errors(client: FlaskClient) -> None:
    answer = client.get("/nothing/here", headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == 404
    assert answer.get_json() == {
        "code": 404,
        "status": "Not Found",
        "message": answer.get_json()["message"],
        "request_id": "abc-1",
    }
    assert answer.headers["X-Request-ID"] == "abc-1"


def test_an_odd_request_id_is_replaced(client: FlaskClient) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": "a b\tc" + "x" * 100})
    assert len(answer.headers["X-Request-ID"]) == 32
