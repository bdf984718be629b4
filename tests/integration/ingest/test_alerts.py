"""POST /api/v1/alerts: one row per episode, a history of its states, and nothing lost beside an odd alert."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory, OutboxEntry, Quarantined
from sensus import fingerprint
from tests.factories import START, alert, alertmanager_webhook


def send(client: FlaskClient, body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/alerts", json=body)
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.get_json()
    assert receipt["accepted"] == receipt["created"] + receipt["updated"] + receipt["duplicates"]
    assert receipt["request_id"] == answer.headers["X-Request-ID"]
    return receipt


def counts(receipt: dict[str, Any]) -> tuple[int, int, int, int]:
    return receipt["created"], receipt["updated"], receipt["duplicates"], receipt["quarantined"]


def history(session: Session, alert_id: int) -> list[str]:
    rows = select(AlertHistory.change).where(AlertHistory.alert_id == alert_id).order_by(AlertHistory.id)
    return list(session.scalars(rows))


def stored(session: Session) -> list[Alert]:
    session.expire_all()
    return list(session.scalars(select(Alert).order_by(Alert.id)))


@pytest.mark.parametrize("severity", ["critical", "P1 äußerst", None])
def test_severity_is_kept_as_sent_and_a_missing_one_stays_missing(
    writer: FlaskClient, session: Session, severity: str | None
) -> None:
    send(writer, [alert(labels={"severity": severity} if severity else {})])
    assert [row.severity for row in stored(session)] == [severity]


def test_an_alert_without_a_name_is_stored_with_its_labels(writer: FlaskClient, session: Session) -> None:
    send(writer, [alert(None)])
    (row,) = stored(session)
    assert row.alert_name == "unnamed"
    assert row.labels == {"instance": "db-1:9100"}


def test_fields_that_we_do_not_know_are_kept(writer: FlaskClient, session: Session) -> None:
    webhook = alertmanager_webhook([alert(priority=3, nested={"a": [1, {"b": None}]})], tenant="eu-1")
    send(writer, webhook)
    (row,) = stored(session)
    assert row.extra["priority"] == 3
    assert row.extra["nested"] == {"a": [1, {"b": None}]}
    assert row.extra["webhook"] == {"receiver": "sensus", "externalURL": "http://alertmanager:9093", "tenant": "eu-1"}
    assert row.group_key == webhook["groupKey"]


def test_a_fingerprint_is_computed_when_absent_and_kept_when_sent(writer: FlaskClient, session: Session) -> None:
    send(writer, [alert("A"), alert("B", fingerprint="00000000deadbeef")])
    computed, sent = sorted(stored(session), key=lambda row: row.alert_name)
    assert computed.fingerprint == fingerprint.of_labels(computed.labels)
    assert sent.fingerprint == "00000000deadbeef"


class TestStates:
    def test_an_alert_is_resolved_by_its_own_status_not_by_that_of_the_webhook(
        self, writer: FlaskClient, session: Session
    ) -> None:
        send(writer, alertmanager_webhook([alert("A"), alert("B", status="resolved")], status="firing"))
        assert {row.alert_name: row.status for row in stored(session)} == {"A": "firing", "B": "resolved"}

    def test_resolving_ends_the_episode_and_says_so_in_its_history(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert()])
        assert counts(send(writer, [alert(status="resolved")])) == (0, 1, 0, 0)
        assert counts(send(writer, [alert(status="resolved")])) == (0, 0, 1, 0)
        (row,) = stored(session)
        assert (row.status, row.ends_at) == ("resolved", START + timedelta(minutes=5))
        assert history(session, row.id) == ["firing", "resolved"]

    def test_firing_again_in_the_same_episode_reopens_it(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert()])
        send(writer, [alert(status="resolved")])
        assert counts(send(writer, [alert()])) == (0, 1, 0, 0)
        (row,) = stored(session)
        assert (row.status, row.ends_at) == ("firing", None)
        assert history(session, row.id) == ["firing", "resolved", "reopened"]

    def test_firing_with_a_new_start_is_a_new_episode(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert(status="resolved")])
        send(writer, [alert(starts_at=START + timedelta(hours=1))])
        assert [row.status for row in stored(session)] == ["resolved", "firing"]

    def test_acknowledgement_survives_what_the_sender_says(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert()])
        (row,) = stored(session)
        row.acknowledge("anna", "on it", START)
        session.flush()
        send(writer, [alert(annotations={"summary": "worse"})])
        send(writer, [alert(status="resolved")])
        (row,) = stored(session)
        assert (row.status, row.acknowledged_by) == ("resolved", "anna")

    def test_without_a_status_it_is_resolved_when_its_end_is_past(self, writer: FlaskClient, session: Session) -> None:
        now = datetime.now(UTC)
        send(
            writer,
            [
                alert("Past", status=None, ends_at=now - timedelta(minutes=1)),
                alert("Ahead", status=None, ends_at=now + timedelta(minutes=4)),
                alert("Never", status=None),
            ],
        )
        assert {row.alert_name: row.status for row in stored(session)} == {
            "Past": "resolved",
            "Ahead": "firing",
            "Never": "firing",
        }

    def test_an_end_that_moves_on_while_it_fires_is_no_news(self, writer: FlaskClient, session: Session) -> None:
        # Prometheus sends each alert with an end some minutes ahead, a new one each time.
        now = datetime.now(UTC)
        send(writer, [alert(status=None, ends_at=now + timedelta(minutes=4))])
        assert counts(send(writer, [alert(status=None, ends_at=now + timedelta(minutes=5))])) == (0, 0, 1, 0)

    def test_a_stale_alert_that_fires_again_is_firing(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert()])
        (row,) = stored(session)
        row.status = "stale"
        session.flush()
        assert counts(send(writer, [alert()])) == (0, 1, 0, 0)
        (row,) = stored(session)
        assert row.status == "firing"
        assert history(session, row.id) == ["firing", "firing"]

    def test_both_states_in_one_webhook_end_in_the_later_one(self, writer: FlaskClient, session: Session) -> None:
        receipt = send(writer, [alert(), alert(status="resolved"), alert(), alert()])
        assert counts(receipt) == (1, 2, 1, 0)
        (row,) = stored(session)
        assert (row.status, row.times_received) == ("firing", 4)
        assert history(session, row.id) == ["firing", "resolved", "reopened"]


class TestWithoutAStart:
    def test_messages_belong_to_the_open_episode(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert(starts_at=None)])
        send(writer, [alert(starts_at=None)])
        send(writer, [alert(starts_at=None, status="resolved")])
        (row,) = stored(session)
        assert row.status == "resolved"
        assert row.ends_at is not None
        assert abs(row.starts_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert history(session, row.id) == ["firing", "resolved"]

    def test_the_open_episode_may_have_come_with_a_start(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert()])
        send(writer, [alert(starts_at=None, status="resolved")])
        (row,) = stored(session)
        assert (row.starts_at, row.status) == (START, "resolved")

    def test_firing_after_the_end_is_a_new_episode(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert(starts_at=None)])
        send(writer, [alert(starts_at=None, status="resolved")])
        send(writer, [alert(starts_at=None)])
        assert [row.status for row in stored(session)] == ["resolved", "firing"]

    def test_an_end_told_again_is_the_same_end(self, writer: FlaskClient, session: Session) -> None:
        send(writer, [alert(starts_at=None, status="resolved")])
        assert counts(send(writer, [alert(starts_at=None, status="resolved")])) == (0, 0, 1, 0)


ODD_ALERTS: tuple[tuple[Any, str], ...] = (
    (alert(labels={"path": "a\0b"}), "nul"),
    (alert(labels={"a\0b": "path"}), "nul"),
    (alert(annotations={"summary": "a\0b"}), "nul"),
    (alert(fingerprint="a\0b"), "nul"),
    (alert(generatorURL="a\0b"), "nul"),
    (alert(further={"deep": ["a\0b"]}), "nul"),
    (alert(labels={"a": "x" * 10_000}), "too_long"),
    (alert(labels={"a" * 1_000: "x"}), "too_long"),
    (alert(labels={"a": "ä" * 1_500}), "too_long"),
    (alert(annotations={"a": "x" * 70_000}), "too_long"),
    (alert(labels={f"l{number}": "x" for number in range(10_000)}), "too_many_labels"),
    (alert(labels={"a": 1}), "wrong_type"),
    (alert(labels={"a": None}), "wrong_type"),
    (alert(labels={"": "x"}), "empty_name"),
    ({**alert(), "labels": "x"}, "wrong_type"),
    ({**alert(), "labels": {}}, "no_labels"),
    ({"status": "firing"}, "wrong_type"),
    ({**alert(), "annotations": []}, "wrong_type"),
    ({**alert(), "status": "melting"}, "wrong_type"),
    ({**alert(), "status": 1}, "wrong_type"),
    (alert(starts_at="yesterday"), "bad_time"),
    (alert(starts_at="infinity"), "bad_time"),
    (alert(starts_at="12026-01-01T00:00:00Z"), "bad_time"),
    ({**alert(), "endsAt": {}}, "wrong_type"),
    ({**alert(), "startsAt": True}, "wrong_type"),
    (None, "wrong_type"),
    (5, "wrong_type"),
    ("alert", "wrong_type"),
    ([], "wrong_type"),
)


class TestQuarantine:
    def test_an_odd_alert_is_put_aside_and_its_neighbours_are_stored(
        self, writer: FlaskClient, session: Session
    ) -> None:
        for number, (odd, reason) in enumerate(ODD_ALERTS):
            neighbours = [alert(labels={"number": f"{number}{side}"}) for side in "ab"]
            receipt = send(writer, alertmanager_webhook([neighbours[0], odd, neighbours[1]]))
            assert counts(receipt) == (2, 0, 0, 1), odd
            aside = session.scalars(select(Quarantined).order_by(Quarantined.id.desc()).limit(1)).one()
            assert aside.reason == reason, odd
            assert aside.detail
            assert aside.payload
        assert len(stored(session)) == 2 * len(ODD_ALERTS)

    def test_a_number_that_no_machine_holds_is_the_fault_of_its_alert_only(
        self, writer: FlaskClient, session: Session
    ) -> None:
        body = b'[{"labels": {"alertname": "A"}, "n": 1e999}, {"labels": {"alertname": "B"}}]'
        answer = writer.post("/api/v1/alerts", data=body, content_type="application/json")
        assert answer.status_code == 202
        assert counts(answer.get_json()) == (1, 0, 0, 1)


def test_what_alertmanager_left_out_is_counted(writer: FlaskClient, client: FlaskClient) -> None:
    def left_out() -> float:
        line = next(
            line
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("sensus_alerts_truncated_total")
        )
        return float(line.split()[-1])

    before = left_out()
    send(writer, alertmanager_webhook(1, truncatedAlerts=7))
    assert left_out() == before + 7


def test_an_accepted_request_leaves_a_receipt_without_its_payload(
    app: Any, writer: FlaskClient, session: Session, redis_client: Any
) -> None:
    receipt = send(writer, alertmanager_webhook(2))
    from web.resources import resources

    with app.app_context():
        assert resources().background.settle()
    ((_, entry),) = redis_client.xrange("metrics:raw")
    assert entry["type"] == "alert"
    assert entry["request_id"] == receipt["request_id"]
    assert entry["actor"].startswith("key:")
    assert json.loads(entry["data"])["created"] == 2
    assert "mountpoint" not in entry["data"]
    assert session.scalar(select(func.count(OutboxEntry.id))) == 0


def test_writing_needs_the_scope_write(as_key: Any, client: FlaskClient) -> None:
    assert client.post("/api/v1/alerts", json=[]).status_code == 401
    assert as_key("read").post("/api/v1/alerts", json=[]).status_code == 403


def test_what_is_nested_too_deep_to_be_read_back_is_put_aside(writer: FlaskClient, session: Session) -> None:
    deep = "[" * 500 + "]" * 500
    one, other = '{"labels": {"alertname": "deep"}, "foo": ' + deep + "}", '{"labels": {"alertname": "flat"}}'
    body = f'{{"zz": {{"a": {deep}}}, "alerts": [{one}, {other}]}}'
    answer = writer.post("/api/v1/alerts", data=body, content_type="application/json")
    assert answer.status_code == 202
    assert counts(answer.get_json()) == (1, 0, 0, 1)
    assert session.scalars(select(Quarantined.reason)).all() == ["too_deep"]
    (listed,) = writer.get("/api/v1/alerts").get_json()["items"]
    assert listed["alert_name"] == "flat"
    (row,) = stored(session)
    assert row.extra["webhook"]["zz"] == f'{{"a": {deep}}}'


def test_what_no_number_holds_is_kept_as_its_text(writer: FlaskClient, session: Session) -> None:
    digits = "9" * 5000
    body = f'{{"receiver": {digits}, "site": "x", "alerts": [{{"labels": {{"alertname": "a"}}}}]}}'
    assert writer.post("/api/v1/alerts", data=body, content_type="application/json").status_code == 202
    (row,) = stored(session)
    assert row.extra["webhook"] == {"receiver": digits, "site": "x"}


def test_a_label_without_a_value_is_none(writer: FlaskClient, session: Session) -> None:
    send(writer, [{"labels": {"alertname": "a", "env": ""}, "startsAt": "2026-01-31T12:00:00Z"}])
    again = send(writer, [{"labels": {"alertname": "a"}, "startsAt": "2026-01-31T12:00:00Z"}])
    assert counts(again) == (0, 0, 1, 0)
    (row,) = stored(session)
    assert row.labels == {"alertname": "a"}
