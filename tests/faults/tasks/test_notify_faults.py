"""Workers that die or stop while a message is on its way: nothing is lost, and what comes twice is known again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Incident, Notification
from tests.faults.tasks.conftest import Send, StartWorker
from tests.faults.tasks.worker import Worker
from tests.integration.tasks.made import add_alert, of_incident
from tests.receivers import WebhookReceiver
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


@pytest.fixture
def webhook() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def worker(start_worker: StartWorker, webhook: WebhookReceiver) -> Worker:
    """A maintenance worker that tells the webhook."""
    return start_worker(
        "maintenance",
        SENSUS_NOTIFY_URLS=webhook.url("user:very-secret-word@"),
        SENSUS_NOTIFY_AFTER_S="0",
        SENSUS_NOTIFY_RETRY_S="0.2",
    )


@pytest.fixture
def on_its_way(worker: Worker, webhook: WebhookReceiver, session: Session, send: Send) -> Notification:
    """A notification that the webhook has received and does not answer."""
    webhook.goes_on.clear()
    analysis_id = of_incident(session, add_alert(session))
    incident = session.scalars(select(Incident)).one()
    row = Notification(incident_id=incident.id, incident_state=1, analysis_id=analysis_id, target="json")
    session.add(row)
    session.flush()
    send("tasks.notify.tell")
    wait_for(lambda: webhook.bodies, "the message is on its way", timeout_s=60)
    return row


def sent(session: Session, row: Notification, send: Send) -> bool:
    send("tasks.notify.tell")
    session.refresh(row)
    return row.status == "sent"


def deliverers(webhook: WebhookReceiver) -> list[psutil.Process]:
    """The processes that have a connection to the webhook."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "tasks.deliverer" in (process.info["cmdline"] or ()):
            try:
                ports = {connection.raddr.port for connection in process.net_connections() if connection.raddr}
            except psutil.Error:
                continue
            if webhook.port in ports:
                found.append(process)
    return found


def test_a_message_whose_worker_was_killed_goes_again_and_bears_the_same_mark(
    worker: Worker, webhook: WebhookReceiver, on_its_way: Notification, session: Session, send: Send
) -> None:
    assert deliverers(webhook)
    worker.kill()
    wait_for(lambda: not deliverers(webhook), "what sent it ends with its worker", timeout_s=30)
    webhook.goes_on.set()
    worker.start()
    wait_for(lambda: sent(session, on_its_way, send), "it is sent", timeout_s=60, every_s=0.5)
    assert on_its_way.attempt == len(webhook.bodies) == 2
    assert len({body["notification_id"] for body in webhook.bodies}) == 1
    assert {headers["X-Sensus-Notification"] for headers in webhook.headers} == {webhook.bodies[0]["notification_id"]}
    assert "very-secret-word" not in worker.log()


def test_a_child_that_is_killed_in_the_middle_costs_nothing_but_the_time_of_its_lease(
    worker: Worker, webhook: WebhookReceiver, on_its_way: Notification, session: Session, send: Send
) -> None:
    worker.kill_child()
    wait_for(lambda: not deliverers(webhook), "what sent it ends with its worker", timeout_s=30)
    webhook.goes_on.set()
    send("tasks.notify.tell")
    session.refresh(on_its_way)
    assert on_its_way.status == "waiting"
    assert on_its_way.lease_until is not None
    on_its_way.lease_until = on_its_way.created_at
    session.flush()
    wait_for(lambda: sent(session, on_its_way, send), "it is sent", timeout_s=60, every_s=0.5)
    assert len({json.dumps(body, sort_keys=True) for body in webhook.bodies}) == 1


def test_a_stop_lets_go_of_what_is_on_its_way(
    worker: Worker, webhook: WebhookReceiver, on_its_way: Notification, session: Session, send: Send
) -> None:
    worker.stop()
    session.refresh(on_its_way)
    assert (on_its_way.status, on_its_way.lease_until, on_its_way.claimed_by) == ("waiting", None, None)
    wait_for(lambda: not deliverers(webhook), "what sent it ends with its worker", timeout_s=30)
    webhook.goes_on.set()
    worker.start()
    wait_for(lambda: sent(session, on_its_way, send), "it is sent", timeout_s=60, every_s=0.5)
    assert len({body["notification_id"] for body in webhook.bodies}) == 1
