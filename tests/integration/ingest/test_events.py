"""POST /api/v1/events: a change is stored once."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import ChangeEvent

EVENT = {
    "kind": "deploy",
    "title": "checkout 2.41.0",
    "labels": {"service": "checkout"},
    "timestamp": "2026-11-23T12:00:00Z",
    "url": "https://ci.example/4711",
}


def test_an_event_sent_twice_with_its_time_is_stored_once(writer: FlaskClient, session: Session) -> None:
    first = writer.post("/api/v1/events", json=EVENT)
    again = writer.post("/api/v1/events", json=dict(reversed(EVENT.items())))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json()["event_id"] == again.get_json()["event_id"]
    assert (first.get_json()["duplicates"], again.get_json()["duplicates"]) == (0, 1)
    (row,) = session.scalars(select(ChangeEvent)).all()
    assert (row.kind, row.title, row.labels) == ("deploy", "checkout 2.41.0", {"service": "checkout"})


def test_two_events_without_a_time_are_two(writer: FlaskClient, session: Session) -> None:
    for _ in range(2):
        assert writer.post("/api/v1/events", json={"kind": "scale", "title": "x"}).status_code == 202
    assert len(session.scalars(select(ChangeEvent)).all()) == 2


FAULTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"kind": "party"}, "kind"),
    ({"kind": None}, "kind"),
    ({"title": ""}, "title"),
    ({"title": "a\0"}, "title"),
    ({"labels": {"a": 1}}, "labels"),
    ({"timestamp": "soon"}, "timestamp"),
    ({"url": "javascript:alert(1)"}, "url"),
)


def test_what_is_wrong_with_an_event_is_told(writer: FlaskClient) -> None:
    for fault, field in FAULTS:
        answer = writer.post("/api/v1/events", json={**EVENT, **fault})
        assert answer.status_code == 422
        assert list(answer.get_json()["errors"]) == [field]
    told = writer.post("/api/v1/events", json={**EVENT, "kind": "deploi"}).get_json()["errors"]["kind"]
    assert told == "must be one of deploy, config, scale, feature_flag, other"
