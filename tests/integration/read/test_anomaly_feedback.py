"""What people say of anomalies is kept by series and time, shown, counted, and outlives the result."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db.models import AnalysisResult, AnomalyFeedback
from db.queries import anomaly_feedback
from sensus import metrics, times
from tests.integration.read.rows import NOON, add_alert, add_analysis, add_anomaly, add_series


def test_a_verdict_is_kept_counted_and_shown(writer: FlaskClient, session: Session) -> None:
    row = add_anomaly(session, add_series(session), NOON)
    before = metrics.anomaly_feedback.labels("false")._value.get()
    answer = writer.post(f"/api/v1/anomalies/{row.id}/feedback", json={"verdict": "false", "note": "a backup"})
    assert answer.status_code == 201
    kept = session.scalars(select(AnomalyFeedback)).one()
    assert answer.get_json() == {
        "id": kept.id,
        "verdict": "false",
        "note": "a backup",
        "timestamp": times.isoformat(NOON),
        "actor": kept.actor,
        "created_at": times.isoformat(kept.created_at),
    }
    assert metrics.anomaly_feedback.labels("false")._value.get() == before + 1
    assert writer.get("/api/v1/anomalies").get_json()["items"][0]["verdict"] == "false"
    assert writer.get(f"/api/v1/analysis/{row.id}").get_json()["anomaly"]["verdict"] == "false"


def test_the_newest_verdict_holds_and_the_others_stay(writer: FlaskClient, session: Session) -> None:
    series = add_series(session)
    row, other = add_anomaly(session, series, NOON), add_anomaly(session, series, NOON + timedelta(minutes=5))
    for verdict in ("false", "real", "real"):
        assert writer.post(f"/api/v1/anomalies/{row.id}/feedback", json={"verdict": verdict}).status_code == 201
    assert session.scalar(select(func.count(AnomalyFeedback.id))) == 3
    shown = {item["id"]: item["verdict"] for item in writer.get("/api/v1/anomalies").get_json()["items"]}
    assert shown == {row.id: "real", other.id: None}
    (known,) = anomaly_feedback.labelled(session, since=NOON, until=NOON + timedelta(hours=1), limit=10)
    assert known == anomaly_feedback.Labelled(series.id, NOON, is_real=True)


def test_a_verdict_outlives_the_result_it_was_said_of(writer: FlaskClient, session: Session) -> None:
    series = add_series(session)
    row = add_anomaly(session, series, NOON)
    writer.post(f"/api/v1/anomalies/{row.id}/feedback", json={"verdict": "real"})
    session.execute(delete(AnalysisResult))
    kept = anomaly_feedback.labelled(session, since=NOON, until=NOON + timedelta(seconds=1), limit=10)
    assert [(label.series_id, label.at) for label in kept] == [(series.id, NOON)]
    assert anomaly_feedback.labelled(session, since=NOON - timedelta(days=1), until=NOON, limit=10) == []


@pytest.mark.parametrize("body", [{}, {"verdict": "maybe"}, {"verdict": True}, {"verdict": "real", "mood": "good"}])
def test_what_is_no_verdict_is_refused(writer: FlaskClient, session: Session, body: dict) -> None:
    row = add_anomaly(session, add_series(session), NOON)
    assert writer.post(f"/api/v1/anomalies/{row.id}/feedback", json=body).status_code == 422


def test_of_what_is_no_anomaly_nothing_is_kept(writer: FlaskClient, session: Session) -> None:
    analysis = add_analysis(session, add_alert(session))
    for anomaly_id in (analysis.id, 999_999):
        answer = writer.post(f"/api/v1/anomalies/{anomaly_id}/feedback", json={"verdict": "real"})
        assert answer.status_code == 404
    assert session.scalar(select(func.count(AnomalyFeedback.id))) == 0
