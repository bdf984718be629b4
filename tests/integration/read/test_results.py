"""Anomalies and analyses: listed, told with their evidence, asked for and judged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import AnalysisFeedback, AnalysisResult
from sensus import metrics, times
from tests.integration.read.rows import NOON, add_alert, add_analysis, add_anomaly, add_series


def ids(client: FlaskClient, path: str, **query: Any) -> list[int]:
    answer = client.get(f"/api/v1/{path}", query_string=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.get_json()["items"]]


def test_an_anomaly_tells_its_sample_and_what_made_it_strange(writer: FlaskClient, session: Session) -> None:
    row = add_anomaly(session, add_series(session, job="web"), NOON, 0.1 + 0.2)
    session.refresh(row)
    told = writer.get("/api/v1/anomalies").get_json()
    anomaly = {
        "id": row.id,
        "metric_name": "load",
        "labels": {"job": "web"},
        "timestamp": times.isoformat(NOON),
        "value": 3.5,
        "per_second": False,
        "score": 0.30000000000000004,
        "alert": 0.7,
        "threshold": 0.5,
        "expected_low": 1.0,
        "expected_high": 2.0,
        "features": [{"name": "level", "value": 4.0, "contribution": 0.3}],
        "model_version": "v1",
        "verdict": None,
        "created_at": times.isoformat(row.created_at),
    }
    assert told == {"items": [anomaly], "next_cursor": None}
    as_result = writer.get(f"/api/v1/analysis/{row.id}").get_json()
    assert as_result["anomaly"] == anomaly
    assert (as_result["analysis_type"], as_result["alert_id"], as_result["evidence"]) == ("anomaly_detection", None, [])


def test_an_anomaly_of_a_counter_says_that_its_figures_are_growth(writer: FlaskClient, session: Session) -> None:
    add_anomaly(session, add_series(session, "requests_total"), NOON, 0.9, per_second=True)
    (told,) = writer.get("/api/v1/anomalies").get_json()["items"]
    assert (told["value"], told["per_second"]) == (3.5, True)


def test_anomalies_are_listed_by_sample_time_and_filtered(writer: FlaskClient, session: Session) -> None:
    web, database = add_series(session, job="web"), add_series(session, "queries", job="db")
    late = add_anomaly(session, web, NOON + timedelta(hours=2), 0.5).id
    early = add_anomaly(session, web, NOON, 0.9).id
    other = add_anomaly(session, database, NOON + timedelta(hours=1), 0.7).id
    assert ids(writer, "anomalies") == [late, other, early]
    assert ids(writer, "anomalies", metric_name="load") == [late, early]
    assert ids(writer, "anomalies", label="job=db") == [other]
    assert ids(writer, "anomalies", match='load{job=~"w.*"}') == [late, early]
    assert ids(writer, "anomalies", min_score=0.7) == [other, early]
    assert ids(writer, "anomalies", since=times.isoformat(NOON + timedelta(hours=1))) == [late, other]
    assert ids(writer, "anomalies", until=times.isoformat(NOON + timedelta(hours=1))) == [other, early]
    assert writer.get("/api/v1/anomalies?match=load%7Bjob%3D~%22(%22%7D").status_code == 422


def test_the_newest_results_come_first_and_by_type(writer: FlaskClient, session: Session) -> None:
    anomaly = add_anomaly(session, add_series(session), NOON).id
    analysis = add_analysis(session, add_alert(session)).id
    assert ids(writer, "analysis/latest") == [analysis, anomaly]
    assert ids(writer, "analysis/latest", analysis_type="anomaly_detection") == [anomaly]
    assert ids(writer, "analysis/latest", analysis_type="llm_analysis") == [analysis]
    assert writer.get("/api/v1/analysis/latest?analysis_type=guess").status_code == 422


def test_an_analysis_is_told_with_its_evidence(writer: FlaskClient, session: Session) -> None:
    alert = add_alert(session)
    row = add_analysis(session, alert)
    session.refresh(row)
    told = writer.get(f"/api/v1/analysis/{row.id}").get_json()
    assert told == {
        "id": row.id,
        "alert_id": alert.id,
        "incident_id": None,
        "incident_state": None,
        "outdated": False,
        "analysis_type": "llm_analysis",
        "status": "done",
        "outcome": "model",
        "model_name": "llama2",
        "root_cause": "A deploy",
        "mitigation": "Roll back",
        "analysis": "The load rose after it [E1].",
        "evidence": [{"id": "E1", "kind": "change", "summary": "deploy of web", "at": "2026-01-01T00:00:00Z"}],
        "cited": ["E1"],
        "suspect": None,
        "confidence": 0.6,
        "reason": None,
        "cached": False,
        "automatic": False,
        "requested_by": None,
        "created_at": times.isoformat(row.created_at),
        "finished_at": None,
        "anomaly": None,
    }
    assert writer.get("/api/v1/analysis/999").status_code == 404
    assert writer.get("/api/v1/analysis/99999999999999999999").status_code == 404


def test_of_an_alert_the_newest_analysis_is_told(writer: FlaskClient, session: Session) -> None:
    alert = add_alert(session)
    path = f"/api/v1/alerts/{alert.id}/analysis"
    without = writer.get(path)
    assert without.status_code == 404
    assert "POST" in without.get_json()["message"]
    add_analysis(session, alert)
    newest = add_analysis(session, alert, status="running", outcome="evidence_only")
    add_analysis(session, add_alert(session))
    assert writer.get(path).get_json()["id"] == newest.id


def test_a_fresh_analysis_can_be_asked_for_and_waits_for_a_worker(writer: FlaskClient, session: Session) -> None:
    alert = add_alert(session)
    add_analysis(session, alert, automatic=True)
    path = f"/api/v1/alerts/{alert.id}/analysis"
    asked = writer.post(path)
    assert asked.status_code == 202
    told = asked.get_json()
    assert (told["status"], told["alert_id"], told["outcome"], told["automatic"]) == ("pending", alert.id, None, False)
    assert writer.get(path).get_json() == told
    row = session.get_one(AnalysisResult, told["id"])
    assert row.requested_by == told["requested_by"]
    assert row.request_id == asked.headers["X-Request-ID"]


def test_asking_twice_before_a_worker_comes_is_asking_once(writer: FlaskClient, session: Session) -> None:
    alert = add_alert(session)
    path = f"/api/v1/alerts/{alert.id}/analysis"
    first = writer.post(path).get_json()["id"]
    assert writer.post(path).get_json()["id"] == first
    row = session.get_one(AnalysisResult, first)
    row.status, row.attempt = "running", 1
    session.flush()
    assert writer.post(path).get_json()["id"] != first
    assert writer.post("/api/v1/alerts/999/analysis").status_code == 404


def test_a_judgement_is_kept_and_counted(writer: FlaskClient, session: Session) -> None:
    row = add_analysis(session, add_alert(session))
    counter = metrics.feedback.labels("false")
    before = counter._value.get()
    answer = writer.post(
        f"/api/v1/analysis/{row.id}/feedback", json={"helpful": False, "root_cause": "The disk", "note": "ask me"}
    )
    assert answer.status_code == 201
    kept = session.scalars(select(AnalysisFeedback)).one()
    assert answer.get_json() == {
        "id": kept.id,
        "analysis_id": row.id,
        "helpful": False,
        "root_cause": "The disk",
        "note": "ask me",
        "actor": kept.actor,
        "created_at": times.isoformat(kept.created_at),
    }
    assert kept.actor.startswith("key:")
    assert counter._value.get() == before + 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "helpful"),
        ({"helpful": "true"}, "helpful"),
        ({"helpful": 1}, "helpful"),
        ({"helpful": True, "root_cause": "\x00"}, "root_cause"),
        ({"helpful": True, "note": "x" * 5000}, "note"),
        ({"helpful": True, "stars": 5}, "stars"),
    ],
)
def test_a_judgement_that_is_none_is_refused_at_its_field(
    writer: FlaskClient, session: Session, body: dict[str, Any], field: str
) -> None:
    row = add_analysis(session, add_alert(session))
    answer = writer.post(f"/api/v1/analysis/{row.id}/feedback", json=body)
    assert answer.status_code == 422
    assert list(answer.get_json()["errors"]) == [field]
    assert session.scalar(select(func.count()).select_from(AnalysisFeedback)) == 0


def test_judging_what_is_not_there_is_not_found(writer: FlaskClient) -> None:
    assert writer.post("/api/v1/analysis/999/feedback", json={"helpful": True}).status_code == 404
