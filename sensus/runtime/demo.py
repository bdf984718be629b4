"""A recorded incident, replayed into a running stack as if it happened now: `sensus up --demo`."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sensus import times
from sensus.errors import SensusError

RECORDINGS = Path(__file__).parent / "recordings"
BATCH = 500
_PATIENCE_S = 120.0
_LOOK_EVERY_S = 1.0


def replay(api: str, key: str, say: Callable[[str], None]) -> None:
    """Send the recording to `api`, wait until it is scored and analysed, and say what was found."""
    incident = json.loads((RECORDINGS / "incident.json").read_text("utf-8"))
    end = times.now()
    with httpx.Client(base_url=api, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        for series in incident["series"]:
            say(f"demo: sending {series['metric_name']} of {series['labels']['service']}, two weeks of history")
            for batch in _batches(series, end):
                _post(client, "/api/v1/metrics", batch)
        _post(client, "/api/v1/topology", {"edges": incident["calls"]})
        for change in incident["changes"]:
            at = end - timedelta(minutes=change.pop("minutes_before_end"))
            _post(client, "/api/v1/events", {**change, "timestamp": times.isoformat(at)})
        for alert in incident["alerts"]:
            at = end - timedelta(minutes=alert.pop("minutes_before_end"))
            alert["startsAt"] = times.isoformat(at)
        _await(client, "/api/v1/anomalies", {"limit": 1}, _is_there)
        sent = _post(client, "/api/v1/alerts", incident["alerts"])
        for alert_id in sent["alert_ids"]:
            analysis = _await(client, f"/api/v1/alerts/{alert_id}/analysis", {}, _is_done)
            say(f"demo: alert {alert_id}: {analysis['root_cause']} (confidence {analysis['confidence']:.2f})")
        for path in _incidents(client, sent["alert_ids"]):
            told = _await(client, path, {}, _is_explained)
            analysis, count = told["analysis"], len(told["alerts"])
            say(f"demo: {count} alerts as one: {analysis['root_cause']} (confidence {analysis['confidence']:.2f})")
            say(f"demo: all that is known of them: {api}{path}")
        anomalies = client.get("/api/v1/anomalies", params={"limit": 500}).json()["items"]
        say(f"demo: {len(anomalies)} anomalies found in two weeks; see {api}/docs for what can be asked")


def _incidents(client: httpx.Client, alert_ids: Sequence[int]) -> list[str]:
    """Where the incidents of these alerts are, once each of them is in one."""
    alerts = [_await(client, f"/api/v1/alerts/{alert_id}", {}, _is_grouped) for alert_id in alert_ids]
    return [f"/api/v1/incidents/{id_}" for id_ in sorted({alert["incident_id"] for alert in alerts})]


def _batches(series: dict[str, Any], end: datetime) -> Iterator[list[dict[str, Any]]]:
    with (RECORDINGS / series["file"]).open(newline="", encoding="utf-8") as file:
        rows = [(times.parse(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    shift = end - rows[-1][0]
    samples = [
        {
            "metric_name": series["metric_name"],
            "labels": series["labels"],
            "timestamp": times.isoformat(at + shift),
            "metric_value": value,
        }
        for at, value in rows
    ]
    for first in range(0, len(samples), BATCH):
        yield samples[first : first + BATCH]


def _post(client: httpx.Client, path: str, body: object) -> Any:
    answer = client.post(path, json=body)
    if answer.is_error:
        raise SensusError(f"the demo could not post to {path}: {answer.status_code} {answer.text[:200]}")
    return answer.json()


def _await(client: httpx.Client, path: str, query: dict[str, Any], good: Callable[[httpx.Response], bool]) -> Any:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        answer = client.get(path, params=query)
        if good(answer):
            return answer.json()
        time.sleep(_LOOK_EVERY_S)
    raise SensusError(f"the demo waited {_PATIENCE_S:.0f} s for {path} in vain; look at the lines of the workers above")


def _is_there(answer: httpx.Response) -> bool:
    return answer.is_success and bool(answer.json()["items"])


def _is_grouped(answer: httpx.Response) -> bool:
    return answer.is_success and answer.json()["incident_id"] is not None


def _is_explained(answer: httpx.Response) -> bool:
    analysis = answer.json()["analysis"] if answer.is_success else None
    return analysis is not None and analysis["root_cause"] is not None


def _is_done(answer: httpx.Response) -> bool:
    return answer.is_success and answer.json()["status"] == "done"
