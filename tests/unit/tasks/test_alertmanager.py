"""What an Alertmanager answers becomes a reading or a clear refusal, whatever it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.alertmanager import AlertmanagerUnreadable, together, understood, without_credentials
from tasks.comparison import external_urls

STATUS = b'{"uptime": "2026-11-24T14:08:35.888Z"}'
UP_SINCE = datetime(2026, 11, 24, 14, 8, 35, 888000, tzinfo=UTC)
ALERT: dict[str, Any] = {
    "annotations": {"summary": "s"},
    "endsAt": "2026-11-24T14:08:57.982Z",
    "fingerprint": "a36cd452b71ef878",
    "receivers": [{"name": "sensus"}],
    "startsAt": "2026-11-24T14:08:37.982Z",
    "status": {"inhibitedBy": ["d354addd315e24dd"], "silencedBy": [], "state": "suppressed"},
    "updatedAt": "2026-11-24T14:08:38.982Z",
    "generatorURL": "http://p/x",
    "labels": {"alertname": "warn"},
}


def test_a_list_as_alertmanager_gives_it_is_understood() -> None:
    reading = understood(STATUS, json.dumps([ALERT]).encode(), timedelta(seconds=10))
    (alert,) = reading.alerts
    assert reading.up_since == UP_SINCE + timedelta(seconds=10)
    assert alert.starts_at == datetime(2026, 11, 24, 14, 8, 37, 982000, tzinfo=UTC)
    assert alert.until == datetime(2026, 11, 24, 14, 9, 7, 982000, tzinfo=UTC)
    assert alert.told is not None
    assert (alert.told.receivers, alert.told.state) == (("sensus",), "suppressed")


@pytest.mark.parametrize(
    ("change", "unreadable"),
    [
        ({"labels": {"a": "b\0"}}, 0),
        ({"labels": {}}, 0),
        ({"labels": 5}, 0),
        ({"annotations": {"a": "x" * 70_000}}, 0),
        ({"receivers": [{"name": "\0"}]}, 0),
        ({"fingerprint": None}, 1),
        ({"fingerprint": "\0"}, 1),
        ({"startsAt": "yesterday"}, 1),
        ({"endsAt": "9999-12-31T23:59:59Z"}, 1),
    ],
)
def test_an_odd_alert_is_known_by_its_identity_if_that_can_be_read(change: dict[str, Any], unreadable: int) -> None:
    body = json.dumps([{**ALERT, **change}, {**ALERT, "fingerprint": "another"}]).encode()
    reading = understood(STATUS, body, timedelta(seconds=10))
    assert reading.unreadable == unreadable
    assert sum(alert.told is None for alert in reading.alerts) == 1 - unreadable
    assert "another" in {alert.fingerprint for alert in reading.alerts if alert.told}


@pytest.mark.parametrize(
    ("status", "alerts"),
    [(b"{}", b"[]"), (STATUS, b"{}"), (STATUS, b"<html>"), (b'{"uptime": "5 days"}', b"[]"), (STATUS, b"[" * 9_999)],
)
def test_rubbish_is_refused(status: bytes, alerts: bytes) -> None:
    with pytest.raises(AlertmanagerUnreadable):
        understood(status, alerts)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
odd = st.fixed_dictionaries(
    {}, optional={name: anything | st.just(value) for name, value in {**ALERT, "further": 1}.items()}
)


@given(alerts=st.lists(odd | anything, max_size=4), uptime=anything | st.just("2026-11-24T14:08:35.888Z"))
def test_any_answer_is_a_reading_or_refused(alerts: list[Any], uptime: Any) -> None:
    try:
        reading = understood(json.dumps({"uptime": uptime}).encode(), json.dumps(alerts).encode())
    except AlertmanagerUnreadable:
        return
    assert len(reading.alerts) + reading.unreadable <= len(alerts)


@given(body=st.binary(max_size=100))
def test_any_bytes_are_a_reading_or_refused(body: bytes) -> None:
    try:
        understood(STATUS, body)
    except AlertmanagerUnreadable:
        pass


def test_the_members_of_a_cluster_count_as_one_that_started_last() -> None:
    one = understood(STATUS, json.dumps([ALERT]).encode())
    other = understood(
        b'{"uptime": "2026-11-24T15:00:00Z"}', json.dumps([{**ALERT, "fingerprint": "b"}, ALERT]).encode()
    )
    both = together([one, other])
    assert both.up_since == datetime(2026, 11, 24, 15, tzinfo=UTC)
    assert {alert.fingerprint for alert in both.alerts} == {ALERT["fingerprint"], "b"}


def test_no_password_is_in_what_is_logged() -> None:
    assert without_credentials("http://ann:p%40ss@am:9093/x") == "http://am:9093/x"


def test_an_alertmanager_on_this_machine_calls_itself_by_its_host() -> None:
    import socket

    assert f"http://{socket.gethostname()}:9093/am" in external_urls(["http://127.0.0.1:9093/am"])
    assert external_urls(["https://am.example"]) == ["https://am.example"]
