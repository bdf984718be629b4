"""The reconciler against a real Alertmanager whose webhooks reach nobody."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory, AlertListing, AlertmanagerReading, OutboxEntry
from db.queries import ungrouped
from db.session import Database
from sensus import check, logs, metrics, times
from sensus.settings import Settings
from tests.alertmanager import NOBODY, Alertmanager
from tests.factories import alert, alertmanager_webhook
from tests.integration.tasks.conftest import Sent
from tests.waiting import wait_for

pytestmark = pytest.mark.peers


@pytest.fixture
def alertmanager(peers: None, tmp_path: Path) -> Iterator[Alertmanager]:
    with Alertmanager(tmp_path / "alertmanager") as running:
        yield running


@pytest.fixture
def settings(settings: Settings, alertmanager: Alertmanager) -> Settings:
    return settings.model_copy(update={"alertmanager_url": SecretStr(alertmanager.url)})


def reconcile() -> None:
    from tasks.reconciler import reconcile as task

    task()


def one(session: Session, name: str) -> Alert:
    session.expire_all()
    return session.scalars(select(Alert).where(Alert.alert_name == name)).one()


def history(session: Session, name: str) -> list[tuple[str, str | None]]:
    rows = select(AlertHistory).where(AlertHistory.alert_id == one(session, name).id).order_by(AlertHistory.id)
    return [(row.change, row.actor) for row in session.scalars(rows)]


def runs(outcome: str) -> float:
    return float(metrics.reconciler_runs.labels(outcome)._value.get())


def test_what_never_arrived_is_stored_as_a_webhook_would_have(
    alertmanager: Alertmanager, sent: Sent, session: Session
) -> None:
    began = times.now() - timedelta(minutes=7, microseconds=1)
    alertmanager.tell({"alertname": "Unheard", "severity": "critical"}, starts_at=began)
    reconcile()
    row = one(session, "Unheard")
    assert (row.status, row.severity, row.description) == ("firing", "critical", "told by a test")
    assert row.starts_at == began.replace(microsecond=began.microsecond // 1000 * 1000)
    assert row.ends_at is None
    assert row.fingerprint == alertmanager.listed()[0]["fingerprint"]
    assert row.extra == {"alertmanager": {"receivers": ["sensus"], "state": "active"}}
    assert history(session, "Unheard") == [("firing", "reconciler")]
    assert [change.alert_id for change in ungrouped.changes(session, limit=5)] == [row.id]
    assert sent.of("group") == [{}]
    entry = session.scalars(select(OutboxEntry)).one()
    assert (entry.actor, entry.facts["created"], entry.facts["alert_ids"]) == ("reconciler", 1, [row.id])


def test_what_is_known_and_unchanged_is_no_repeat(alertmanager: Alertmanager, sent: Sent, session: Session) -> None:
    alertmanager.tell({"alertname": "Known"})
    reconcile()
    first = one(session, "Known")
    heard = first.last_received_at
    for _ in range(3):
        reconcile()
    row = one(session, "Known")
    assert (row.times_received, row.last_received_at) == (1, heard)
    assert len(history(session, "Known")) == 1
    assert session.scalar(select(func.count(OutboxEntry.id))) == 1
    assert len(sent.of("group")) == 1


def test_the_webhook_that_comes_late_is_the_same_alert(
    alertmanager: Alertmanager, sent: Sent, writer: FlaskClient, session: Session
) -> None:
    alertmanager.tell({"alertname": "Late"})
    reconcile()
    listed = alertmanager.listed()[0]
    # The list cuts the start to the millisecond, the webhook has all nine digits.
    told = alert(
        "Late", starts_at=listed["startsAt"].replace("Z", "588386Z"), fingerprint=listed["fingerprint"], status="firing"
    )
    answer = writer.post("/api/v1/alerts", json=alertmanager_webhook([told], externalURL=alertmanager.url))
    assert answer.get_json()["created"] == 0
    assert one(session, "Late").times_received == 2
    reconcile()
    assert history(session, "Late") == [("firing", "reconciler")]


def test_an_alert_that_ended_unheard_is_resolved_at_the_second_reading_without_it(
    alertmanager: Alertmanager, sent: Sent, session: Session
) -> None:
    alertmanager.tell({"alertname": "Short"}, fires_s=60)
    reconcile()
    alertmanager.tell({"alertname": "Short"}, fires_s=-1)
    alertmanager.wait_until_listed("Short", False)
    reconcile()
    assert one(session, "Short").status == "firing"
    reconcile()
    row = one(session, "Short")
    assert row.status == "resolved"
    assert row.ends_at is not None
    assert row.starts_at <= row.ends_at <= times.now()
    assert history(session, "Short") == [("firing", "reconciler"), ("resolved", "reconciler")]


def test_alerts_of_other_senders_are_left_alone(
    alertmanager: Alertmanager, sent: Sent, writer: FlaskClient, session: Session
) -> None:
    writer.post("/api/v1/alerts", json=[alert("Bare")])
    writer.post("/api/v1/alerts", json=alertmanager_webhook([alert("Other")], externalURL="http://other:9093"))
    grafana = {"externalURL": "http://grafana:3000/", "version": "1", "orgId": 1}
    writer.post("/api/v1/alerts", json=alertmanager_webhook([alert("Grafana")], **grafana))
    for _ in range(4):
        reconcile()
    assert [one(session, name).status for name in ("Bare", "Other", "Grafana")] == ["firing"] * 3


def test_what_its_webhook_brought_is_its_own_although_no_reading_saw_it(
    alertmanager: Alertmanager, sent: Sent, writer: FlaskClient, session: Session
) -> None:
    webhook = alertmanager_webhook([alert("Brief")], externalURL=f"{alertmanager.url}/")
    writer.post("/api/v1/alerts", json=webhook)
    reconcile()
    reconcile()
    assert history(session, "Brief")[1:] == [("resolved", "reconciler")]


def test_a_bare_list_that_tells_of_an_alert_later_takes_it_over(
    alertmanager: Alertmanager, sent: Sent, writer: FlaskClient, session: Session
) -> None:
    alertmanager.tell({"alertname": "Shared"}, fires_s=60)
    reconcile()
    alertmanager.tell({"alertname": "Shared"}, fires_s=-1)
    alertmanager.wait_until_listed("Shared", False)
    mine = {"labels": {"alertname": "Shared"}, "startsAt": times.isoformat(one(session, "Shared").starts_at)}
    assert writer.post("/api/v1/alerts", json=[mine]).get_json()["created"] == 0
    for _ in range(3):
        reconcile()
    assert one(session, "Shared").status == "firing"


def test_a_restarted_alertmanager_knows_nothing_yet_and_ends_nothing(
    alertmanager: Alertmanager, sent: Sent, session: Session
) -> None:
    alertmanager.tell({"alertname": "Long"}, fires_s=600)
    alertmanager.tell({"alertname": "Passing"}, fires_s=2)
    reconcile()
    wait_for(lambda: times.now() > one_listing(session, "Passing"), "the time that the Alertmanager gave it is over")
    alertmanager.restart()
    assert alertmanager.listed() == []
    for _ in range(3):
        reconcile()
    # It would itself have taken the one for over by now, and not the other.
    assert (one(session, "Long").status, one(session, "Passing").status) == ("firing", "resolved")
    alertmanager.tell({"alertname": "Long"}, fires_s=600)
    reconcile()
    alertmanager.tell({"alertname": "Long"}, fires_s=-1)
    alertmanager.wait_until_listed("Long", False)
    reconcile()
    reconcile()
    assert [change for change, _ in history(session, "Long")] == ["firing", "resolved"]


def one_listing(session: Session, name: str) -> datetime:
    until = session.get_one(AlertListing, one(session, name).id).listed_until
    assert until is not None
    return until


def test_silenced_and_inhibited_alerts_fire_all_the_same(
    alertmanager: Alertmanager, sent: Sent, session: Session
) -> None:
    alertmanager.silence("alertname", "Quiet")
    alertmanager.tell({"alertname": "Quiet"})
    alertmanager.tell({"alertname": "Cause", "severity": "critical", "site": "a"})
    alertmanager.tell({"alertname": "Effect", "severity": "warning", "site": "a"})
    wait_for(
        lambda: sum(entry["status"]["state"] == "suppressed" for entry in alertmanager.listed()) == 2,
        "two alerts are suppressed",
    )
    for _ in range(3):
        reconcile()
    assert [one(session, name).status for name in ("Quiet", "Cause", "Effect")] == ["firing"] * 3
    assert one(session, "Effect").extra["alertmanager"]["state"] == "suppressed"


def test_messages_out_of_order_are_mended(
    alertmanager: Alertmanager, sent: Sent, writer: FlaskClient, session: Session
) -> None:
    told = {"labels": {"alertname": "Order"}, "startsAt": times.isoformat(alertmanager.began)}
    alertmanager.tell({"alertname": "Order"}, fires_s=60)
    # The Alertmanager heard of it after this end, so it fires again.
    ended = times.isoformat(times.now() - timedelta(seconds=30))
    webhook = alertmanager_webhook([{**told, "status": "resolved", "endsAt": ended}], receiver="mine")
    writer.post("/api/v1/alerts", json=webhook)
    reconcile()
    row = one(session, "Order")
    assert (row.status, row.ends_at, row.extra["webhook"]["receiver"]) == ("firing", None, "mine")
    # And now it is over, and the message that it fires comes after the one that it ended.
    alertmanager.tell({"alertname": "Order"}, fires_s=-1)
    alertmanager.wait_until_listed("Order", False)
    for status in ("resolved", "firing"):
        writer.post("/api/v1/alerts", json=alertmanager_webhook([{**told, "status": status}]))
    reconcile()
    reconcile()
    changes = [change for change, _ in history(session, "Order")]
    assert changes == ["resolved", "reopened", "resolved", "reopened", "resolved"]


def test_only_alerts_for_the_named_receivers_are_stored(
    alertmanager: Alertmanager, settings: Settings, sent: Sent, session: Session, database_url: str
) -> None:
    from tasks import comparison
    from tasks.alertmanager import read

    alertmanager.tell({"alertname": "Ours"})
    alertmanager.tell({"alertname": "Theirs", "team": "other"})
    url = alertmanager.url
    compared = comparison.Comparison([url], {url: read(url)}, times.now(), ["sensus"])
    compared.apply(session)
    assert list(session.scalars(select(Alert.alert_name))) == ["Ours"]


def test_an_alert_that_cannot_be_stored_costs_the_others_nothing(
    alertmanager: Alertmanager, sent: Sent, session: Session
) -> None:
    odd = metrics.alerts_reconciled.labels("not_storable")
    before = odd._value.get()
    alertmanager.tell({"alertname": "Odd", "path": "a\0b"})
    alertmanager.tell({"alertname": "Good"}, fires_s=60)
    reconcile()
    assert list(session.scalars(select(Alert.alert_name))) == ["Good"]
    assert odd._value.get() == before + 1
    alertmanager.tell({"alertname": "Good"}, fires_s=-1)
    alertmanager.wait_until_listed("Good", False)
    reconcile()
    reconcile()
    assert one(session, "Good").status == "resolved"


def test_an_alertmanager_that_is_away_is_told_of_once_and_ends_nothing(
    alertmanager: Alertmanager, sent: Sent, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO", "console")
    alertmanager.tell({"alertname": "Lasting"}, fires_s=1)
    reconcile()
    alertmanager.stop()
    before = runs("away")
    for _ in range(3):
        reconcile()
    assert runs("away") == before + 3
    assert one(session, "Lasting").status == "firing"
    away = session.scalars(select(AlertmanagerReading)).one()
    assert (away.address, away.failing_since is not None) == (alertmanager.url, True)
    alertmanager.start()
    reconcile()
    said = capsys.readouterr()
    assert (said.out + said.err).count("alertmanager_away") == 1
    assert (said.out + said.err).count("alertmanager_back") == 1


def test_while_one_of_a_cluster_is_away_alerts_are_stored_and_none_is_ended(
    alertmanager: Alertmanager, settings: Settings, sent: Sent, session: Session
) -> None:
    from tasks.resources import resources

    both = settings.model_copy(update={"alertmanager_url": SecretStr(f"{alertmanager.url},{NOBODY}")})
    object.__setattr__(resources(), "settings", both)
    alertmanager.tell({"alertname": "First"}, fires_s=60)
    reconcile()
    alertmanager.tell({"alertname": "First"}, fires_s=-1)
    alertmanager.tell({"alertname": "Second"})
    alertmanager.wait_until_listed("First", False)
    for _ in range(3):
        reconcile()
    assert (one(session, "First").status, one(session, "Second").status) == ("firing", "firing")


def test_what_answers_otherwise_than_an_alertmanager_is_unreadable(alertmanager: Alertmanager) -> None:
    from tasks.alertmanager import AlertmanagerUnreadable, read

    with pytest.raises(AlertmanagerUnreadable, match="404"):
        read(f"{alertmanager.url}/somewhere")
    with pytest.raises(AlertmanagerUnreadable, match="more than 100 bytes"):
        read(alertmanager.url, most_bytes=100)


def test_check_has_a_line_for_it(
    alertmanager: Alertmanager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENSUS_ALERTMANAGER_URL", alertmanager.url.replace("//", "//ann:password@"))
    check.run(argparse.Namespace())
    shown = capsys.readouterr().out
    assert re.search(r"^alertmanager +ok: Alertmanager \d+\.\d+", shown, re.MULTILINE) is not None, shown
    assert "password" not in shown.replace("SENSUS_ADMIN_PASSWORD", "")


def test_a_webhook_at_the_same_moment_is_not_overruled(
    alertmanager: Alertmanager, sent: Sent, session: Session, database: Database
) -> None:
    alertmanager.tell({"alertname": "Race"})
    listed = alertmanager.listed()[0]
    with database.transaction() as webhook:
        # What the webhook says is younger than the list: it is over.
        webhook.execute(
            text(
                "INSERT INTO alerts (fingerprint, alert_name, starts_at, ends_at, status, last_received_at)"
                " VALUES (:fingerprint, 'Race', :start, now(), 'resolved', now() + interval '1 minute')"
            ),
            {"fingerprint": listed["fingerprint"], "start": listed["startsAt"]},
        )
        reading = Thread(target=reconcile)
        reading.start()
        waits = text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        wait_for(lambda: session.scalar(waits), "the reconciler waits for the webhook")
    reading.join(20)
    row = one(session, "Race")
    assert (row.status, row.times_received) == ("resolved", 1)
