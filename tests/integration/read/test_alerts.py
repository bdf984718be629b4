"""Lists of alerts, one alert with its history, and acknowledgements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory, AuditRecord, OutboxEntry
from sensus import times
from tests.integration.read.rows import NOON, add_alert


def ids(client: FlaskClient, **query: Any) -> list[int]:
    answer = client.get("/api/v1/alerts", query_string=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.get_json()["items"]]


def test_the_newest_alert_comes_first_with_all_that_is_known_of_it(writer: FlaskClient, session: Session) -> None:
    add_alert(session)
    newest = add_alert(
        session, "DiskFull", severity=None, description="Full", generator_url="http://p/graph", extra={"team": "x"}
    )
    first = writer.get("/api/v1/alerts").get_json()["items"][0]
    session.refresh(newest)
    assert first == {
        "id": newest.id,
        "fingerprint": newest.fingerprint,
        "alert_name": "DiskFull",
        "severity": None,
        "description": "Full",
        "status": "firing",
        "labels": newest.labels,
        "annotations": {"summary": "too much"},
        "starts_at": times.isoformat(newest.starts_at),
        "ends_at": None,
        "generator_url": "http://p/graph",
        "group_key": None,
        "extra": {"team": "x"},
        "times_received": 1,
        "last_received_at": times.isoformat(newest.last_received_at),
        "acknowledged_at": None,
        "acknowledged_by": None,
        "acknowledgement_note": None,
        "created_at": times.isoformat(newest.created_at),
        "incident_id": None,
    }


def test_each_filter_keeps_what_it_names_and_all_must_hold(writer: FlaskClient, session: Session) -> None:
    old = add_alert(session, "A", status="resolved", starts_at=NOON - timedelta(hours=5), labels={"job": "db"})
    page = add_alert(session, "A", severity="page", starts_at=NOON, labels={"job": "web", "zone": "1"})
    other = add_alert(session, "B", status="stale", starts_at=NOON + timedelta(hours=1), labels={"job": "web"})
    assert ids(writer) == [other.id, page.id, old.id]
    assert ids(writer, status="resolved") == [old.id]
    assert ids(writer, severity="page") == [page.id]
    assert ids(writer, alert_name="A") == [page.id, old.id]
    assert ids(writer, alert_name="A", status="firing") == [page.id]
    assert ids(writer, label="job=web") == [other.id, page.id]
    assert ids(writer, label=["job=web", "zone=1"]) == [page.id]
    assert ids(writer, label=["job=web", "zone="]) == [other.id]
    assert ids(writer, label=["job=web", "job=db"]) == []
    assert ids(writer, since=times.isoformat(NOON)) == [other.id, page.id]
    assert ids(writer, until=times.to_epoch(NOON)) == [page.id, old.id]
    assert ids(writer, since=times.isoformat(NOON), until=times.isoformat(NOON)) == [page.id]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "burning"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"label": "job"}, "label.0"),
        ({"label": "a\x00=b"}, "label.0"),
        ({"severity": "\x00"}, "severity"),
        ({"limit": "0"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"serverity": "page"}, "serverity"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "WyIxIl0"}, "cursor"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_at_its_field(
    writer: FlaskClient, query: dict[str, str], field: str
) -> None:
    answer = writer.get("/api/v1/alerts", query_string=query)
    assert answer.status_code == 422
    assert list(answer.get_json()["errors"]) == [field]


def test_an_alert_is_told_with_its_history_oldest_first(writer: FlaskClient, session: Session) -> None:
    alert = add_alert(session, status="resolved")
    for change in ("firing", "resolved"):
        session.add(AlertHistory(alert_id=alert.id, change=change, actor="key:1", request_id="r"))
        session.flush()
    told = writer.get(f"/api/v1/alerts/{alert.id}").get_json()
    assert told["id"] == alert.id
    assert [entry["change"] for entry in told["history"]] == ["firing", "resolved"]
    assert set(told["history"][0]) == {"change", "at", "actor", "note", "request_id"}


@pytest.mark.parametrize("alert_id", ["0", "12345", "99999999999999999999", "abc", "-1"])
@pytest.mark.parametrize("path", ["/api/v1/alerts/{}", "/api/v1/alerts/{}/analysis"])
def test_an_alert_that_is_not_there_is_not_found(writer: FlaskClient, path: str, alert_id: str) -> None:
    answer = writer.get(path.format(alert_id))
    assert answer.status_code == 404
    assert answer.get_json()["request_id"]


def test_an_acknowledgement_is_kept_in_the_alert_the_history_and_the_audit(
    writer: FlaskClient, session: Session
) -> None:
    alert = add_alert(session)
    answer = writer.post(f"/api/v1/alerts/{alert.id}/ack", json={"note": "on it"}, headers={"X-Request-ID": "ack-1"})
    assert answer.status_code == 200
    told = answer.get_json()
    assert told["acknowledgement_note"] == "on it"
    assert told["acknowledged_by"].startswith("key:")
    assert told["acknowledged_at"].endswith("Z")
    assert [(entry["change"], entry["note"], entry["request_id"]) for entry in told["history"]] == [
        ("acknowledged", "on it", "ack-1")
    ]
    record = session.scalars(select(AuditRecord)).one()
    assert (record.action, record.actor, record.subject, record.request_id) == (
        "alert_acknowledged",
        told["acknowledged_by"],
        f"alert:{alert.id}",
        "ack-1",
    )


def test_an_acknowledgement_reaches_the_audit_stream_without_its_note(
    writer: FlaskClient, session: Session, redis_client: Any, app: Any
) -> None:
    from web.resources import resources

    alert = add_alert(session)
    writer.post(f"/api/v1/alerts/{alert.id}/ack", json={"note": "a secret"})
    with app.app_context():
        assert resources().background.settle()
    entries = redis_client.xrange("audit:access")
    assert [fields["type"] for _, fields in entries] == ["alert_acknowledged"]
    assert "a secret" not in str(entries)
    assert session.scalar(select(func.count()).select_from(OutboxEntry)) == 0


def test_acknowledging_again_changes_nothing_and_another_note_is_one_more_entry(
    writer: FlaskClient, as_key: Callable[..., FlaskClient], session: Session
) -> None:
    alert = add_alert(session)
    path = f"/api/v1/alerts/{alert.id}/ack"
    first = writer.post(path).get_json()
    assert writer.post(path).get_json() == first
    noted = writer.post(path, json={"note": "mine"}).get_json()
    assert writer.post(path, json={"note": "mine"}).get_json() == noted
    assert writer.post(path).get_json() == noted
    taken_over = as_key("read", "write").post(path).get_json()
    assert len(taken_over["history"]) == 3
    assert taken_over["acknowledged_by"] != first["acknowledged_by"]
    assert session.scalar(select(func.count()).select_from(AuditRecord)) == 3


def test_a_resolved_alert_cannot_be_acknowledged(writer: FlaskClient, session: Session) -> None:
    alert = add_alert(session, status="resolved")
    answer = writer.post(f"/api/v1/alerts/{alert.id}/ack", json={})
    assert answer.status_code == 409
    assert "resolved" in answer.get_json()["message"]
    assert session.scalar(select(func.count()).select_from(AuditRecord)) == 0


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": {"note": "x", "notes": "y"}}, 422),
        ({"json": {"note": "a\x00b"}}, 422),
        ({"json": {"note": "x" * 5000}}, 422),
        ({"json": ["note"]}, 422),
        ({"data": "{", "content_type": "application/json"}, 400),
        ({"data": b'{"note": "\xff"}', "content_type": "application/json"}, 400),
        ({"data": "[" * 100_000, "content_type": "application/json"}, 400),
        ({"data": '{"note": "\\ud800"}', "content_type": "application/json"}, 422),
        ({"data": "note=x", "content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_body_that_is_no_acknowledgement_changes_nothing(
    writer: FlaskClient, session: Session, options: dict[str, Any], status: int
) -> None:
    alert = add_alert(session)
    answer = writer.post(f"/api/v1/alerts/{alert.id}/ack", **options)
    assert answer.status_code == status, answer.text
    session.expire_all()
    assert session.get_one(Alert, alert.id).acknowledged_at is None
