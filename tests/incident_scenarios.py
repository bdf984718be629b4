"""What is promised of incidents, each as a scenario on a running stack; `make prove` has them.

Each returns a line with what was measured, and raises AssertionError when the promise does not hold.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg

from sensus import times
from tests.alertmanager import Alertmanager
from tests.factories import alertmanager_webhook
from tests.ollama_server import OllamaServer
from tests.scenarios import all_alerts, prometheus
from tests.shop import CALLS, Shop
from tests.stack import Up
from tests.storms.judged import judge
from tests.storms.made import Profile, as_message, storm
from tests.storms.replayed import truth
from tests.waiting import wait_for

LEAST_OF_PAIRS = 0.90
_ANALYSED = """
    SELECT NOT EXISTS (SELECT FROM incidents WHERE merged_into IS NULL AND analysed_state < state)
       AND NOT EXISTS (SELECT FROM ai_analysis_results WHERE status IN ('pending', 'running'))
    """
_STATES = """
    SELECT count(*), count(DISTINCT (incident_id, incident_state)), count(DISTINCT incident_id)
    FROM ai_analysis_results WHERE incident_id IS NOT NULL AND automatic
    """


def a_storm_is_put_together(up: Up, model: OllamaServer, seed: int, profile: Profile) -> str:
    """A labelled storm, replayed: its pairs are right, and the model is asked once for each state of an incident."""
    made = storm(seed, profile)
    shift = times.now() - max(alert.starts_at for alert in made.alerts)
    asked_before = len(model.requests)
    ids: list[int] = []
    began = time.monotonic()
    with up.client(up.unlimited_key()) as client, psycopg.connect(up.facts["database_url"], autocommit=True) as rows:
        if made.calls:
            edges = [*made.calls, *({"caller": one, "callee": host, "kind": "runs_on"} for one, host in made.runs_on)]
            assert client.post("/api/v1/topology", json={"edges": edges}).status_code == 202
        for alert in made.alerts:
            told = {**as_message(alert), "startsAt": times.isoformat(alert.starts_at + shift)}
            answer = client.post("/api/v1/alerts", json=alertmanager_webhook([told], groupKey=alert.group_key))
            assert answer.status_code == 202, answer.text
            ids += answer.json()["alert_ids"]

        def incidents() -> dict[int, int] | None:
            found = dict(rows.execute("SELECT alert_id, incident_id FROM incident_alerts").fetchall())
            return found if found.keys() >= set(ids) else None

        wait_for(incidents, "every alert is in an incident", timeout_s=60)
        in_s = time.monotonic() - began
        wait_for(lambda: _one(rows, _ANALYSED)[0], "every state is analysed", timeout_s=240, every_s=1)
        found = wait_for(incidents, "every alert is in an incident")
        analyses, states, many = _one(rows, _STATES)
    judgement = judge(truth(made), [found[each] for each in ids])
    asked = [request.body["messages"][1]["content"] for request in model.requests[asked_before:]]
    # An answer that can't be believed is asked for once more, which is no second question.
    repairs = sum("An earlier answer was refused" in each for each in asked)
    questions = len(asked) - repairs
    told_of = (
        f"{len(set(ids))} alerts in {len(ids)} messages, all in incidents after {in_s:.0f} s: pairwise precision "
        f"{judgement.precision:.3f}, recall {judgement.recall:.3f}; {many} incidents, {states} states, "
        f"{questions} questions to the model and {repairs} repairs of its answers"
    )
    assert min(judgement.precision, judgement.recall) >= LEAST_OF_PAIRS, told_of
    assert analyses == states, told_of
    assert questions <= states, told_of
    return told_of


def the_broken_service_is_the_first_suspect(up: Up, folder: Path, *, broken: str = "orders", usual_s: float) -> str:
    """A service of a small shop breaks; alerts about others come by Prometheus and Alertmanager; it is found."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Shop() as shop,
        Alertmanager(folder, api=up.api, key=up.facts["api_key"]) as alertmanager,
        prometheus(folder, _watching(up, shop, folder, alertmanager, broken), "--rules.alert.resend-delay=1s"),
        up.client() as client,
    ):
        time.sleep(usual_s)  # what is usual can only be learnt by looking on
        assert not all_alerts(client, alert_name=_RULE), "the shop was not well before"
        shop.break_(broken)
        began = time.monotonic()
        firing = wait_for(lambda: all_alerts(client, alert_name=_RULE), "an alert", timeout_s=90, every_s=0.5)
        fired_s = time.monotonic() - began
        assert all(alert["labels"]["service"] != broken for alert in firing)
        alert_id = firing[0]["id"]
        analysis = wait_for(lambda: _of_the_incident(client, alert_id), "the analysis", timeout_s=120, every_s=0.5)
        took_s = time.monotonic() - began
        incident = client.get(f"/api/v1/incidents/{analysis['incident_id']}").json()
    first = incident["suspects"][0]
    told = (
        f"alert {fired_s:.0f} s after {broken} broke, analysis after {took_s:.0f} s: first suspect {first['service']} "
        f"by {first['metric']}, confidence {first['confidence']:.2f}"
    )
    assert first["service"] == broken, told
    assert broken in analysis["root_cause"], analysis["root_cause"]
    assert analysis["suspect"] == broken, told
    return told


def _of_the_incident(client: httpx.Client, alert_id: int) -> dict[str, Any] | None:
    incident_id = client.get(f"/api/v1/alerts/{alert_id}").json()["incident_id"]
    if incident_id is None:
        return None
    analysis: dict[str, Any] | None = client.get(f"/api/v1/incidents/{incident_id}").json()["analysis"]
    return analysis if analysis is not None and analysis["outcome"] else None


def _one(rows: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] | None = rows.execute(statement).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return found


_RULE = "HighLatency"


def _watching(up: Up, shop: Shop, folder: Path, alertmanager: Alertmanager, broken: str) -> dict[str, Any]:
    """Prometheus scrapes the shop each second, writes to the API, and has a rule about all but the broken service."""
    seconds, requests = (
        f'sum by (service) (rate(http_request_duration_seconds_{part}{{service!="{broken}"}}[10s]))'
        for part in ("sum", "count")
    )
    rule = {
        "alert": _RULE,
        "expr": f"{seconds} / {requests} > 0.3",
        "for": "2s",
        "labels": {"severity": "critical"},
        "annotations": {"summary": "{{ $labels.service }} is slow"},
    }
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "shop", "interval": "1s", "rules": [rule]}]}))
    return {
        "global": {"evaluation_interval": "1s", "scrape_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
        "scrape_configs": [
            {
                "job_name": "shop",
                "static_configs": [{"targets": [shop.address(name)], "labels": {"service": name}} for name in CALLS],
            }
        ],
        "remote_write": [
            {
                "url": f"{up.api}/api/v1/write",
                "authorization": {"credentials": up.unlimited_key()},
                "queue_config": {"batch_send_deadline": "1s"},
            }
        ],
    }
