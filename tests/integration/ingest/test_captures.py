"""What Alertmanager 0.25 really sent, posted in the order of its capture."""

from __future__ import annotations

import json
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory

CAPTURES = sorted((Path(__file__).parents[2] / "data" / "alertmanager").glob("*.json"))


def _post_all(client: FlaskClient) -> None:
    for capture in CAPTURES:
        answer = client.post("/api/v1/alerts", json=json.loads(capture.read_text())["body"])
        assert answer.status_code == 202, answer.text
        assert answer.get_json()["quarantined"] == 0


def _states(session: Session) -> dict[int, str]:
    return {row.id: row.status for row in session.execute(select(Alert.id, Alert.status))}


def test_the_captures_become_ten_alerts_of_which_two_are_resolved(writer: FlaskClient, session: Session) -> None:
    assert len(CAPTURES) == 14
    _post_all(writer)
    states = list(_states(session).values())
    assert (len(states), states.count("firing"), states.count("resolved")) == (10, 8, 2)
    assert session.scalar(select(func.count(AlertHistory.id))) == 12  # 10 that fired, 2 that ended


def test_the_captures_sent_again_change_no_outcome(writer: FlaskClient, session: Session) -> None:
    _post_all(writer)
    before = _states(session)
    last = session.scalar(select(func.max(AlertHistory.id)))
    _post_all(writer)
    assert _states(session) == before
    gained = session.scalars(select(AlertHistory.change).where(AlertHistory.id > last).order_by(AlertHistory.id)).all()
    assert sorted(gained) == ["reopened", "reopened", "resolved", "resolved"]


def test_the_zero_time_of_alertmanager_is_no_end(writer: FlaskClient, session: Session) -> None:
    _post_all(writer)
    assert session.scalar(select(func.count(Alert.id)).where(Alert.ends_at.is_not(None))) == 2
    assert not session.scalars(select(Alert.id).where(Alert.status == "firing", Alert.ends_at.is_not(None))).all()
