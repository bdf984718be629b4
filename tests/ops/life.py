"""Something of everything happens, so that each panel has something to show."""

from __future__ import annotations

import sys

import httpx

from sensus.runtime import demo
from tests.factories import alert, alertmanager_webhook
from tests.ops.stack import KEY, Stack
from tests.waiting import wait_for


def goes_on(stack: Stack) -> str:
    """The recorded incident, an acknowledgement, two judgements, an odd alert, a refused request, a run by hand."""
    demo.replay(stack.api, KEY, lambda line: sys.stdout.write(f"    {line}\n"))
    with httpx.Client(base_url=stack.api, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        odd = alertmanager_webhook([alert("Odd", labels={"note": "a NUL \x00"}), alert("Even")])
        assert client.post("/api/v1/alerts", json=odd).json()["quarantined"] == 1
        (first, *_) = client.get("/api/v1/alerts", params={"limit": 1}).json()["items"]
        client.post(f"/api/v1/alerts/{first['id']}/ack", json={"note": "seen"}).raise_for_status()
        analysis = wait_for(lambda: _finished(client, first["id"]), "an analysis", timeout_s=120, every_s=0.5)
        judged = client.post(f"/api/v1/analysis/{analysis}/feedback", json={"helpful": True})
        judged.raise_for_status()
        (anomaly, *_) = client.get("/api/v1/anomalies", params={"limit": 1}).json()["items"]
        client.post(f"/api/v1/anomalies/{anomaly['id']}/feedback", json={"verdict": "real"}).raise_for_status()
        assert client.get("/api/v1/alerts", params={"limit": "none"}).status_code == 422
        token = client.post("/api/v1/auth/token", auth=("admin", "an admin's password")).json()["access_token"]
        run = client.post("/api/v1/models/evaluate", headers={"Authorization": f"Bearer {token}"})
        run.raise_for_status()
    return "the demo's incident and what people do with it"


def _finished(client: httpx.Client, alert_id: int) -> int | None:
    answer = client.get(f"/api/v1/alerts/{alert_id}/analysis")
    found = answer.json() if answer.is_success else {}
    return int(found["id"]) if found.get("status") == "done" else None
