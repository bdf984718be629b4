"""A whole stack tells people: does each state of an incident reach a webhook and a mail server, once?"""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

import httpx

from sensus import times
from tests.receivers import MailServer, WebhookReceiver
from tests.stack import Up
from tests.waiting import wait_for

_TOLD_S = 120.0


def each_state_is_told_once(up: Up, webhook: WebhookReceiver, mail: MailServer, *, away_s: float) -> str:
    """With both servers up, then both away and the worker killed meanwhile; and nobody hears of a transient."""
    run = f"told-{time.time_ns()}"
    began = times.now() - timedelta(minutes=5)
    with up.client() as client:
        _post(client, run, "HighLatency", service=f"{run}-shop", began=began)
        wait_for(lambda: len(webhook.bodies) == len(mail.mails) == 1, "both are told", timeout_s=_TOLD_S, every_s=0.5)
        incident = webhook.bodies[0]["incident_id"]
        webhook.stop()
        mail.stop()
        stopped = time.monotonic()
        _post(client, run, "HighErrorRate", service=f"{run}-shop", began=began)
        wait_for(lambda: _tries(client, incident) >= 2, "both were tried in vain", timeout_s=_TOLD_S, every_s=0.5)
        for pid in up.pids("worker-maintenance"):
            os.kill(pid, signal.SIGKILL)
        short = _post(client, run, "Blip", service=f"{run}-blip", began=times.now())
        _post(client, run, "Blip", service=f"{run}-blip", began=short, over=True)
        time.sleep(max(0.0, away_s - (time.monotonic() - stopped)))
        webhook.start()
        mail.start()
        back = time.monotonic()
        wait_for(
            lambda: {2} <= {state for _, state in webhook.states} and len(mail.mails) >= 2,
            "both are told of the second state",
            timeout_s=_TOLD_S + away_s,
            every_s=0.5,
        )
        took_s = time.monotonic() - back
        wait_for(lambda: _waiting(client, incident) == 0, "nothing waits", timeout_s=_TOLD_S, every_s=0.5)
    assert sorted(webhook.states) == [(incident, 1), (incident, 2)], webhook.states
    assert len({letter["Message-ID"] for letter in mail.mails}) == len(mail.mails) == 2
    assert "Traceback" not in up.output()
    return f"2 states told once to both, the second {took_s:.0f} s after both were back from {away_s:.0f} s away"


def _post(client: httpx.Client, run: str, name: str, *, service: str, began: Any, over: bool = False) -> Any:
    alert = {
        "status": "resolved" if over else "firing",
        "labels": {"alertname": name, "service": service, "run": run, "severity": "critical"},
        "startsAt": times.isoformat(began),
        **({"endsAt": times.isoformat(times.now())} if over else {}),
    }
    answer = client.post("/api/v1/alerts", json=[alert])
    assert answer.status_code == 202, answer.text
    return began


def _notifications(client: httpx.Client, incident: int) -> list[dict[str, Any]]:
    return list(client.get(f"/api/v1/incidents/{incident}").json()["notifications"])


def _tries(client: httpx.Client, incident: int) -> int:
    return sum(bool(each["error"]) for each in _notifications(client, incident) if each["incident_state"] == 2)


def _waiting(client: httpx.Client, incident: int) -> int:
    return sum(each["status"] == "waiting" for each in _notifications(client, incident))
