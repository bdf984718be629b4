"""An anomaly becomes an alert of Alertmanager: people are told once, it ends, and it opens nothing here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg

from sensus import times
from tests.integration.tasks.made import wave
from tests.ops.stack import KEY, Stack
from tests.waiting import wait_for

NAME = "SensusAnomaly"
THERE_WITHIN_S = 30.0
_DAY = 1440
_STEP = timedelta(minutes=1)
_LABELS = {"service": "checkout", "instance": "web03:9100"}
_BATCH = 500


def anomaly_to_alert_and_back(stack: Stack) -> str:
    """A spike after two calm days; what was seen.  Raises AssertionError when a step does not come about."""
    metric = f"latency_{time.time_ns()}"
    # The last rows are kept back: the spike, and the calm after it.
    rows = wave(2 * _DAY + 3, start=times.now() - (2 * _DAY + 3) * _STEP, step=_STEP)
    history, calm = rows[:-3], rows[-2:]
    at, usual = rows[-3]
    with httpx.Client(base_url=stack.api, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as api:
        for batch in _batches(history):
            _post(api, metric, batch)
        wait_for(lambda: _scored_until(stack, metric) == history[-1][0], "history is scored", timeout_s=120)
        assert _alert(stack, metric) is None, "two calm days are no alert"
        began = time.monotonic()
        _post(api, metric, [(at, usual + 80.0)])
        alert = wait_for(lambda: _alert(stack, metric), "the alert is in Alertmanager", timeout_s=THERE_WITHIN_S)
        there_s = time.monotonic() - began
        assert alert["labels"] == {"alertname": NAME, "severity": "warning", "metric_name": metric, **_LABELS}
        wait_for(lambda: _told(stack, metric, "firing"), "people are told", timeout_s=30)
        _post(api, metric, calm)
        ended = time.monotonic()
        wait_for(lambda: _told(stack, metric, "resolved"), "people are told of the end", timeout_s=150, every_s=0.5)
        resolved_s = time.monotonic() - ended
        assert _alert(stack, metric) is None
        echoed = api.get("/api/v1/alerts", params={"alert_name": NAME}).json()["items"]
    assert echoed == [], "it came back as an alert of ours"
    assert stack.prometheus.number("sum(sensus_alerts_echoed_total)"), "Sensus was told, and knew it for its own"
    assert len(_told(stack, metric, "firing")) == 1
    assert len(_told(stack, metric, "resolved")) == 1
    return (
        f"in Alertmanager after {there_s:.1f} s with the labels of its series, "
        f"resolved {resolved_s:.0f} s after the values were back, one notification of each, no echo"
    )


def another_spike(stack: Stack) -> None:
    """A second anomaly of the series of which the first was told."""
    with psycopg.connect(stack.reporting_url) as connection:
        row = connection.execute(
            "SELECT metric_name FROM reporting.series WHERE metric_name LIKE 'latency\\_%' ORDER BY id DESC LIMIT 1"
        ).fetchone()
    assert row is not None, "no anomaly was told before"
    with httpx.Client(base_url=stack.api, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as api:
        _post(api, row[0], [(times.now(), 900.0)])


def _batches(rows: list[tuple[datetime, float]]) -> Iterator[list[tuple[datetime, float]]]:
    for first in range(0, len(rows), _BATCH):
        yield rows[first : first + _BATCH]


def _post(api: httpx.Client, metric: str, rows: list[tuple[datetime, float]]) -> None:
    samples = [
        {"metric_name": metric, "metric_value": value, "labels": _LABELS, "timestamp": times.isoformat(at)}
        for at, value in rows
    ]
    api.post("/api/v1/metrics", json=samples).raise_for_status()


def _scored_until(stack: Stack, metric: str) -> datetime | None:
    with psycopg.connect(stack.reporting_url) as connection:
        row = connection.execute(
            "SELECT scored_until FROM reporting.series WHERE metric_name = %s", [metric]
        ).fetchone()
    return row[0] if row else None


def _alert(stack: Stack, metric: str) -> dict[str, Any] | None:
    query = [("filter", f'alertname="{NAME}"'), ("filter", f'metric_name="{metric}"')]
    found: list[dict[str, Any]] = httpx.get(f"{stack.alertmanager}/api/v2/alerts", params=query, timeout=10).json()
    return found[0] if found else None


def _told(stack: Stack, metric: str, status: str) -> list[dict[str, Any]]:
    """The notifications of people in which the alert of this metric has this status."""
    return [
        body
        for body in stack.people.notifications
        if any(one["labels"].get("metric_name") == metric and one["status"] == status for one in body["alerts"])
    ]
