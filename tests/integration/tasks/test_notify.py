"""Finished analyses reach people once for each state of an incident, whatever their servers do meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import Alert, AnalysisResult, Incident, IncidentHistory, Notification
from db.queries import leases, notifications, unfinished
from db.session import Database
from sensus import cli, metrics, times
from sensus import settings as settings_module
from sensus.settings import Settings
from tests.integration.tasks.conftest import Sent
from tests.integration.tasks.made import add_alert, of_incident
from tests.receivers import MailServer, WebhookReceiver
from tests.waiting import wait_for

LOGIN = "user:very-secret-word@"
Change = Callable[..., None]
Finish = Callable[..., int]


@pytest.fixture
def webhook() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def tell_all(change: Change, webhook: WebhookReceiver, mail: MailServer) -> None:
    change(notify_urls=SecretStr(f"{webhook.url(LOGIN)} {mail.url}"), notify_after_s=0, notify_retry_s=0.01)


@pytest.fixture
def tell_webhook(change: Change, webhook: WebhookReceiver) -> None:
    change(notify_urls=SecretStr(webhook.url(LOGIN)), notify_after_s=0, notify_retry_s=0.01)


@pytest.fixture
def finish(session: Session) -> Finish:
    """Finishes the analysis of a state of an incident: `finish(state=2, of=incident_id)`; the id of the incident."""

    def finished(*, state: int = 1, of: int | None = None, **values: Any) -> int:
        from tasks.analysis import analyse

        if of is None:
            analysis_id = of_incident(session, add_alert(session, fingerprint=f"{times.now().timestamp()}"))
            of = newest(session).id
        else:
            lead = select(Alert).join(Incident, Incident.lead_alert_id == Alert.id).where(Incident.id == of)
            analysis_id = of_incident(session, session.scalars(lead).one(), state=state)
        if values:
            session.execute(update(Incident).where(Incident.id == of).values(**values))
        analyse(analysis_id=analysis_id)
        return of

    return finished


def newest(session: Session) -> Incident:
    return session.scalars(select(Incident).order_by(Incident.id.desc()).limit(1)).one()


def tell() -> None:
    from tasks.notify import tell as task

    task()


def rows(session: Session) -> list[Notification]:
    session.expire_all()
    return list(session.scalars(select(Notification).order_by(Notification.id)))


def statuses(session: Session) -> list[str]:
    return [row.status for row in rows(session)]


def tell_until_sent(session: Session) -> None:
    def all_sent() -> bool:
        tell()
        return set(statuses(session)) == {"sent"}

    wait_for(all_sent, "everything is sent")


def ago(**given: float) -> datetime:
    return times.now() - timedelta(**given)


def test_a_finished_analysis_reaches_every_target_once_with_cause_confidence_and_link(
    tell_all: None, change: Change, webhook: WebhookReceiver, mail: MailServer, finish: Finish, session: Session
) -> None:
    change(public_url="https://sensus.example.org")
    incident_id = finish()
    for _ in range(3):
        tell()
    (body,) = webhook.bodies
    (letter,) = mail.mails
    link = f"https://sensus.example.org/api/v1/incidents/{incident_id}"
    assert (body["incident_id"], body["incident_state"], body["url"]) == (incident_id, 1, link)
    assert 0 <= body["confidence"] <= 1
    text = letter.get_payload(decode=True).decode()  # type: ignore[union-attr]
    for told in (text, body["message"]):
        assert body["root_cause"] in told
        assert f"Confidence: {body['confidence']:.0%} (weak evidence), from the evidence alone" in told
        assert link in told
    assert letter["Subject"] == body["title"] == "HighLatency"
    assert statuses(session) == ["sent", "sent"]
    told_of = session.scalars(select(IncidentHistory).where(IncidentHistory.change == "notified"))
    assert sorted(entry.facts["target"] for entry in told_of) == ["json", "mailto"]


def test_each_state_is_told_once_also_when_both_servers_were_down(
    tell_all: None, webhook: WebhookReceiver, mail: MailServer, finish: Finish, session: Session
) -> None:
    webhook.stop()
    mail.stop()
    incident_id = finish()
    finish(of=incident_id, state=2)
    for _ in range(3):
        tell()
    assert statuses(session) == ["waiting"] * 4
    assert [row.attempt > 0 for row in rows(session)] == [True, True, False, False], "an earlier state goes first"
    webhook.start()
    mail.start()
    tell_until_sent(session)
    tell()
    assert webhook.states == [(incident_id, 1), (incident_id, 2)]
    assert len({letter["Message-ID"] for letter in mail.mails}) == len(mail.mails) == 2


def test_an_answer_that_is_bettered_later_is_not_told_again(
    tell_webhook: None, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    from tasks.analysis import analyse

    finish()
    tell()
    analyse(analysis_id=rows(session)[0].analysis_id)
    tell()
    assert len(webhook.bodies) == 1


def test_nobody_is_told_of_what_is_over_at_once(
    tell_webhook: None, change: Change, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    change(notify_after_s=60)
    began = ago(minutes=20)
    finish(opened_at=began, status="resolved", resolved_at=began + timedelta(seconds=59))
    finish(opened_at=began, status="resolved", resolved_at=began + timedelta(seconds=61))
    finish(opened_at=ago(seconds=5))
    tell()
    assert statuses(session) == ["skipped", "sent", "waiting"]
    short, _, young = rows(session)
    assert short.error == "the incident was over within 60 s"
    assert timedelta(seconds=40) < young.next_try_at - times.now() <= timedelta(seconds=55)


def test_one_that_comes_and_goes_is_told_of_once_it_has_lasted(
    tell_webhook: None, change: Change, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    change(notify_after_s=60)
    incident_id = finish(opened_at=ago(seconds=70), status="resolved", resolved_at=ago(seconds=50))
    tell()
    assert statuses(session) == ["waiting"], "it may be back in a moment, in the same state"
    session.execute(update(Incident).values(status="open", resolved_at=None, reopened=1))
    tell()
    assert webhook.states == [(incident_id, 1)]


def test_a_state_made_by_a_return_must_last_as_well(
    tell_webhook: None, change: Change, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    change(notify_after_s=60)
    incident_id = finish(opened_at=ago(hours=2))
    tell()
    since = ago(minutes=10)
    over = {"status": "resolved", "resolved_at": since + timedelta(seconds=20)}
    finish(of=incident_id, state=2, reopened=1, state_since=since, **over)
    tell()
    assert statuses(session) == ["sent", "skipped"]


def test_what_belongs_to_another_incident_by_now_is_told_there(
    tell_webhook: None, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    into = finish()
    finish(merged_into=into)
    tell()
    assert statuses(session) == ["sent", "skipped"]
    assert rows(session)[1].error == f"the incident is one with incident {into}"


def test_what_one_target_refuses_holds_up_neither_others_nor_itself_for_ever(
    tell_all: None, webhook: WebhookReceiver, mail: MailServer, finish: Finish, session: Session
) -> None:
    webhook.status = 422
    refused = finish()
    tell()
    assert [(row.target, row.status, row.error) for row in rows(session)] == [
        ("json", "waiting", "it answered 422"),
        ("mailto", "sent", None),
    ]
    later = finish()
    webhook.status = 200
    session.execute(update(Notification).values(next_try_at=ago(seconds=1), tried_at=ago(seconds=1)))
    tell()
    assert webhook.states == [(refused, 1), (later, 1), (refused, 1)], "those with fewer tries go first"
    assert len({body["notification_id"] for body in webhook.bodies}) == 2


def test_a_target_that_hangs_is_left_at_its_deadline_and_rests(
    tell_all: None, change: Change, webhook: WebhookReceiver, mail: MailServer, finish: Finish, session: Session
) -> None:
    change(notify_timeout_s=10, notify_retry_s=30)
    webhook.goes_on.clear()
    finish()
    finish()
    tell()
    assert len(webhook.bodies) == 1, "the second waits until the target has rested"
    assert [(row.target, row.status, row.error) for row in rows(session)] == [
        ("json", "waiting", "no answer within 10 s"),
        ("mailto", "sent", None),
        ("json", "waiting", None),
        ("mailto", "sent", None),
    ]


def test_what_could_not_be_sent_for_a_day_is_given_up(
    tell_webhook: None, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    webhook.stop()
    finish()
    session.execute(update(Notification).values(created_at=ago(hours=25)))
    tell()
    assert statuses(session) == ["failed"]


def test_what_waits_for_a_target_reaches_it_after_its_password_changed_and_nothing_waits_for_one_that_is_gone(
    tell_all: None, change: Change, webhook: WebhookReceiver, mail: MailServer, finish: Finish, session: Session
) -> None:
    webhook.stop()
    mail.stop()
    finish()
    tell()
    webhook.start()
    change(notify_urls=SecretStr(webhook.url("user:another@")))
    session.execute(update(Notification).values(next_try_at=ago(seconds=1), tried_at=ago(seconds=1)))
    tell()
    assert statuses(session) == ["sent", "skipped"]


def test_nothing_waits_when_nobody_is_to_be_told_any_more(
    tell_webhook: None, change: Change, webhook: WebhookReceiver, finish: Finish, session: Session
) -> None:
    webhook.stop()
    finish()
    tell()
    assert statuses(session) == ["waiting"]
    change(notify_urls=None)
    tell()
    assert statuses(session) == ["skipped"]


def test_no_secret_of_a_url_is_in_any_log_answer_or_row(
    tell_all: None,
    change: Change,
    webhook: WebhookReceiver,
    finish: Finish,
    session: Session,
    writer: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    webhook.stop()
    change(
        notify_urls=SecretStr(f"{webhook.url(LOGIN)} json://127.0.0.1:1/very-secret-word json://?very-secret-word"),
        notify_timeout_s=15,
    )
    incident_id = finish()
    tell()
    answer = writer.get(f"/api/v1/incidents/{incident_id}")
    shown = [
        *(str(vars(row)) for row in rows(session)),
        answer.get_data(as_text=True),
        caplog.text,
        *capfd.readouterr(),
    ]
    assert [row.error for row in rows(session)] == [
        "it can't be reached, or refused the message",
        "it can't be reached, or refused the message",
        "Apprise does not understand its URL",
    ]
    assert not any("secret-word" in text for text in shown)


def test_an_incident_and_the_metrics_show_who_was_told(
    tell_all: None, webhook: WebhookReceiver, mail: MailServer, finish: Finish, session: Session, writer: FlaskClient
) -> None:
    def counted(outcome: str) -> float:
        return metrics.notifications.labels(outcome)._value.get()

    before = {outcome: counted(outcome) for outcome in ("sent", "retried")}
    mail.stop()
    incident_id = finish()
    tell()
    told = writer.get(f"/api/v1/incidents/{incident_id}").get_json()
    assert [(one["target"], one["status"], one["attempt"], one["incident_state"]) for one in told["notifications"]] == [
        ("json", "sent", 1, 1),
        ("mailto", "waiting", 1, 1),
    ]
    assert told["notifications"][0]["sent_at"]
    assert told["notifications"][1]["error"] == "it can't be reached, or refused the message"
    assert "notified" in [entry["change"] for entry in told["timeline"]]
    assert {outcome: counted(outcome) - before[outcome] for outcome in before} == {"sent": 1, "retried": 1}
    assert unfinished.waiting(session)["notifications"].count == 1
    assert 'sensus_unfinished{kind="notifications"} 1.0' in writer.get("/metrics").get_data(as_text=True)


def test_two_workers_at_once_send_once_and_who_comes_late_changes_nothing(
    tell_webhook: None, worker: Settings, webhook: WebhookReceiver, finish: Finish, database: Database, session: Session
) -> None:
    finish()
    together = [threading.Thread(target=tell) for _ in range(3)]
    for one in together:
        one.start()
    for one in together:
        one.join()
    assert len(webhook.bodies) == 1
    finish()

    def claim() -> notifications.NotificationClaim | None:
        with database.transaction() as mine:
            return notifications.claim(
                mine, "json", lasts=timedelta(), rest=timedelta(), lease=timedelta(minutes=1), holder="maintenance@here"
            )

    first = claim()
    assert first is not None
    assert claim() is None, "somebody has it"
    with database.transaction() as mine:
        assert leases.release(mine, "maintenance@here", blameless=True).notifications == (first.id,)
    second = claim()
    assert second is not None
    assert second.attempt == 2
    with database.transaction() as mine:
        assert not notifications.sent(mine, first, at=times.now(), request_id="late")
        assert notifications.sent(mine, second, at=times.now(), request_id="in-time")


def test_without_urls_nothing_is_kept_or_sent(worker: Settings, finish: Finish, session: Session) -> None:
    finish()
    tell()
    assert rows(session) == []


def test_a_test_message_tells_of_each_target_whether_it_arrived(
    webhook: WebhookReceiver, mail: MailServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def test() -> tuple[int, str, str]:
        settings_module.current.cache_clear()
        code = cli.main(["notify", "test"])
        told = capsys.readouterr()
        return code, told.out, told.err

    code, _, error = test()
    assert code == 1
    assert "SENSUS_NOTIFY_URLS is not set" in error
    monkeypatch.setenv("SENSUS_NOTIFY_URLS", f"{webhook.url(LOGIN)},{mail.url}, json://127.0.0.1:1")
    code, out, _ = test()
    assert code == 1
    assert [line.split(maxsplit=1) for line in out.splitlines()] == [
        ["json", "sent"],
        ["mailto", "sent"],
        ["json-2", "NOT SENT: it can't be reached, or refused the message"],
    ]
    assert (len(webhook.bodies), len(mail.mails)) == (1, 1)
    monkeypatch.setenv("SENSUS_NOTIFY_URLS", webhook.url())
    assert test()[0] == 0


def test_an_analysis_that_was_given_up_is_told_of_as_well(
    tell_webhook: None, sent: Sent, webhook: WebhookReceiver, session: Session
) -> None:
    from tasks.upkeep import sweep

    analysis_id = of_incident(session, add_alert(session))
    session.execute(update(AnalysisResult).where(AnalysisResult.id == analysis_id).values(failures=5))
    sweep()
    tell()
    (body,) = webhook.bodies
    assert "No cause is known.\nConfidence: none, the analysis failed" in body["message"]
