"""What the product promises, each as a scenario on a running stack: small in the suite, at full size in `make prove`.

Each returns a line with what was measured, and raises AssertionError when the promise does not hold.
"""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import jwt
import psycopg
from celery import Celery

from sensus import times
from tests.alertmanager import Alertmanager
from tests.ollama_server import OllamaServer
from tests.sentinel import SentinelRedis
from tests.servers import RunningServer
from tests.stack import Up, environment
from tests.waiting import wait_for

DATA = Path(__file__).parent / "data"
CAPTURES = DATA / "alertmanager"


def captures() -> list[dict[str, Any]]:
    """The bodies of the webhooks that a real Alertmanager sent, in order."""
    return [json.loads(path.read_text())["body"] for path in sorted(CAPTURES.glob("*.json"))]


def all_alerts(client: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """Every alert that the list answers, page by page."""
    return list(_pages(client, "/api/v1/alerts", query))


def captured_alerts(client: httpx.Client) -> list[dict[str, Any]]:
    """The alerts that are stored of those in the captured webhooks, whatever else a stack is told meanwhile."""
    theirs = {alert["fingerprint"] for body in captures() for alert in body["alerts"]}
    return sorted((a for a in all_alerts(client) if a["fingerprint"] in theirs), key=lambda alert: alert["id"])


def captured_webhooks_become_ten_alerts(up: Up) -> str:
    """The captured webhooks give 10 alerts, 8 firing and 2 resolved; sent again, the same."""
    with up.client() as client:

        def post_all() -> list[dict[str, Any]]:
            for body in captures():
                answer = client.post("/api/v1/alerts", json=body)
                assert answer.status_code == 202, answer.text
                receipt = answer.json()
                assert receipt["accepted"] == receipt["created"] + receipt["updated"] + receipt["duplicates"]
            return captured_alerts(client)

        def history() -> dict[int, list[str]]:
            ids = [alert["id"] for alert in captured_alerts(client)]
            return {i: [h["change"] for h in client.get(f"/api/v1/alerts/{i}").json()["history"]] for i in ids}

        first, history_first = post_all(), history()
        again, history_again = post_all(), history()
    statuses = [alert["status"] for alert in first]
    assert len(first) == 10, len(first)
    assert (statuses.count("firing"), statuses.count("resolved")) == (8, 2), statuses
    assert [(a["id"], a["status"]) for a in first] == [(a["id"], a["status"]) for a in again]
    for alert in first:
        gained = history_again[alert["id"]][len(history_first[alert["id"]]) :]
        assert gained == (["reopened", "resolved"] if alert["status"] == "resolved" else []), gained
    return "10 alerts, 8 firing, 2 resolved; again the same, history gained 2 reopened and 2 resolved"


def a_refire_is_a_second_episode(up: Up) -> str:
    """The same labels with a new startsAt after the end are a new row."""
    labels = {"alertname": "Refire", "instance": f"refire-{time.time_ns()}"}
    began = times.now() - timedelta(minutes=10)
    episodes = [
        {"status": "firing", "startsAt": times.isoformat(began)},
        {
            "status": "resolved",
            "startsAt": times.isoformat(began),
            "endsAt": times.isoformat(began + timedelta(minutes=2)),
        },
        {"status": "firing", "startsAt": times.isoformat(began + timedelta(minutes=5))},
    ]
    with up.client() as client:
        for episode in episodes:
            assert client.post("/api/v1/alerts", json=[{"labels": labels, **episode}]).status_code == 202
        found = all_alerts(client, label=f"instance={labels['instance']}")
    assert sorted(alert["status"] for alert in found) == ["firing", "resolved"]
    assert len({alert["fingerprint"] for alert in found}) == 1
    return "2 rows of one fingerprint"


def firing_alerts_are_analysed(up: Up, *, outcome: str, within_s: float = 30.0) -> str:
    """Each firing alert has a finished analysis with that outcome in time."""
    began = time.monotonic()
    with up.client() as client:
        firing = all_alerts(client, status="firing")
        assert firing
        texts = set()
        for alert in firing:
            analysis = wait_for(
                lambda alert=alert: _finished(client, alert["id"], outcome),
                timeout_s=max(1.0, within_s - (time.monotonic() - began)),
                what=f"an analysis of alert {alert['id']} with outcome {outcome}",
            )
            known = {item["id"] for item in analysis["evidence"]}
            assert set(analysis["cited"]) <= known
            assert 0 <= analysis["confidence"] <= 1
            texts.add(analysis["root_cause"] + analysis["analysis"])
        if outcome == "evidence_only":
            assert len(texts) == len(firing), "two different alerts got the same text"
    return f"{len(firing)} of {len(firing)} alerts within {time.monotonic() - began:.1f} s, outcome {outcome}"


def new_alerts_are_answered_while_the_model_thinks(up: Up, model: OllamaServer, *, rounds: int = 3) -> str:
    """With every analyst waiting for the model, new alerts have what the evidence supports."""
    model.play("hang")
    run, slowest = f"busy-{time.time_ns()}", 0.0
    asked_before = len(model.requests)
    with up.client(up.unlimited_key()) as client:
        _firing(client, run, "first", 3)
        wait_for(lambda: len(model.requests) >= asked_before + 2, "both analysts wait for the model")
        for number in range(rounds):
            began = time.monotonic()
            for alert_id in _firing(client, run, str(number), 3):
                wait_for(lambda alert_id=alert_id: _shown(client, alert_id), f"an answer for {alert_id}")
            slowest = max(slowest, time.monotonic() - began)
    return f"{3 * rounds} of {3 * rounds} alerts answered from the evidence, the slowest after {slowest:.1f} s"


def a_stop_costs_an_analysis_nothing(up: Up, model: OllamaServer) -> str:
    """What was asked of the model when the stack stopped is asked again at its next start; that is no failure."""
    began = time.monotonic()
    wait_for(lambda: len(model.requests) >= 2, "the model is asked again", timeout_s=20)
    with psycopg.connect(up.facts["database_url"]) as connection:
        rows = connection.execute(
            "SELECT attempt, failures FROM ai_analysis_results WHERE status = 'running'"
        ).fetchall()
    assert rows == [(2, 1), (2, 1)], rows
    return f"both analyses asked the model again {time.monotonic() - began:.1f} s after the stack was ready"


def _firing(client: httpx.Client, run: str, name: str, count: int) -> list[int]:
    alerts = [{"labels": {"alertname": "Busy", "run": run, "name": name, "n": str(number)}} for number in range(count)]
    answer = client.post("/api/v1/alerts", json=alerts)
    assert answer.status_code == 202, answer.text
    return list(answer.json()["alert_ids"])


def _shown(client: httpx.Client, alert_id: int) -> bool:
    answer = client.get(f"/api/v1/alerts/{alert_id}/analysis")
    return bool(answer.is_success and answer.json()["outcome"])


def live_equals_offline(up: Up, source: Path, folder: Path, *, batch: int, kill: bool, twice: bool) -> str:
    """The live scores of a series equal those of `sensus score`, to the last digit."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _shifted(source)
    _write_series(folder / "in" / "series.csv", rows)
    labels = {"run": f"{source.stem}-{batch}-{kill}-{twice}-{time.time_ns()}"}
    samples = [
        {"metric_name": "volume", "labels": labels, "timestamp": times.isoformat(at), "metric_value": value}
        for at, value in rows
    ]
    batches = [samples[first : first + batch] for first in range(0, len(samples), batch)]
    with up.client(up.unlimited_key()) as client:
        for number, body in enumerate(batches):
            if kill and number == len(batches) // 2:
                wait_for(lambda: up.pids("worker-anomaly"), timeout_s=60, what="the scoring worker")
                for pid in up.pids("worker-anomaly"):
                    _kill(pid)
            for _ in range(2 if twice else 1):
                answer = client.post("/api/v1/metrics", json=body)
                assert answer.status_code == 202, answer.text
        expected = {at for at, _ in rows}
        live = wait_for(
            lambda: _scores(client, labels, rows, len(expected)), timeout_s=300, what="all scores", every_s=1
        )
    versions = {row[4] for row in live}
    assert len(versions) == 1, versions
    _sensus(
        "score", "--input", folder / "in", "--output", folder / "out", "--retrain", "never", "--model", versions.pop()
    )
    offline: dict[datetime, tuple[float, float]] = {}
    with (folder / "out" / "series.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            offline.setdefault(times.parse(row["timestamp"]), (float(row["score"]), float(row["alert"])))
    differing = [row for row in live if offline[times.parse(row[0])] != (row[1], row[2])]
    assert not differing, f"{len(differing)} of {len(live)} differ, the first: {differing[0]}"
    how = f"batches of {batch}{', worker killed' * kill}{', sent twice' * twice}"
    return f"{len(live)} of {len(expected)} scores equal ({how})"


def redis_may_be_away(up: Up, redis: RunningServer | SentinelRedis, *, webhooks: int, away_s: float) -> str:
    """With Redis stopped in the middle of webhooks all answers are 202, and afterwards every alert is analysed."""
    run = f"outage-{time.time_ns()}"
    slowest = 0.0
    pause_s = away_s / (webhooks / 2)
    with up.client(up.unlimited_key()) as client:
        for number in range(webhooks):
            if number == webhooks // 4:
                redis.stop()
                stopped_at = time.monotonic()
            if number == webhooks * 3 // 4:
                time.sleep(max(0.0, away_s - (time.monotonic() - stopped_at)))
                redis.start()
            began = time.monotonic()
            answer = client.post(
                "/api/v1/alerts", json=[{"labels": {"alertname": "Outage", "run": run, "n": str(number)}}]
            )
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status_code == 202, answer.text
            if webhooks // 4 <= number < webhooks * 3 // 4:
                time.sleep(pause_s)
        alerts = all_alerts(client, label=f"run={run}")
        assert len(alerts) == webhooks
        began = time.monotonic()
        for alert in alerts:
            wait_for(
                lambda alert=alert: _finished(client, alert["id"]), timeout_s=240, what=f"analysis of {alert['id']}"
            )
    took_s = time.monotonic() - began
    return f"{webhooks} of {webhooks} answers 202 (slowest {slowest * 1000:.0f} ms), all analysed {took_s:.0f} s after"


def bad_input_gets_a_clear_error(up: Up) -> str:
    """Each kind of bad input gets its status, the one error shape, and no traceback anywhere."""
    nested = "[" * 100_000 + "]" * 100_000
    many = json.dumps({"metric_name": "m", "metric_value": 1, "labels": {f"l{n}": "v" for n in range(10_000)}})
    odd_alert = '[{"labels": {"alertname": "Odd", "x": "a\\u0000b"}}, {"labels": {"alertname": "Good", "x": "1"}}]'
    wide = json.dumps([{"labels": {"alertname": "Wide", **{f"l{n}": "v" for n in range(10_000)}}}])
    far = json.dumps({"metric_name": "m", "metric_value": 1, "timestamp": "2999-01-01T00:00:00Z"})
    key, as_json = up.facts["api_key"], {"Content-Type": "application/json"}
    with up.admin() as admin:
        reader = admin.post("/api/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    expired = _token(up, expires=times.now() - timedelta(minutes=1))
    cases: list[tuple[str, str, str | bytes, dict[str, str], int]] = [
        ("broken JSON", "/api/v1/alerts", '{"alerts": [', as_json, 400),
        ("broken JSON", "/api/v1/metrics", "{", as_json, 400),
        ("wrong types", "/api/v1/metrics", '{"metric_name": 5, "metric_value": "x"}', as_json, 422),
        ("wrong types", "/api/v1/events", '{"kind": "party", "title": 7}', as_json, 422),
        ("no object", "/api/v1/alerts", '"hello"', as_json, 400),
        ("NaN", "/api/v1/metrics", '{"metric_name": "m", "metric_value": NaN}', as_json, 400),
        ("Infinity", "/api/v1/metrics", '{"metric_name": "m", "metric_value": -Infinity}', as_json, 400),
        ("1e999", "/api/v1/metrics", '{"metric_name": "m", "metric_value": 1e999}', as_json, 422),
        ("100,000 brackets", "/api/v1/metrics", nested, as_json, 400),
        ("not UTF-8", "/api/v1/alerts", b'[{"labels": {"a": "\xff"}}]', as_json, 400),
        ("far future", "/api/v1/metrics", far, as_json, 202),
        ("NUL in a metric", "/api/v1/metrics", '{"metric_name": "a\\u0000b", "metric_value": 1}', as_json, 422),
        ("NUL in an alert", "/api/v1/alerts", odd_alert, as_json, 202),
        ("10,000 labels", "/api/v1/metrics", many, as_json, 422),
        ("10,000 labels", "/api/v1/alerts", wide, as_json, 202),
        ("5 MB body", "/api/v1/metrics", b" " * 5_000_000, as_json, 413),
        ("wrong content type", "/api/v1/alerts", "[]", {"Content-Type": "text/plain"}, 415),
        ("no token", "/api/v1/alerts", "[]", {**as_json, "Authorization": ""}, 401),
        ("expired token", "/api/v1/alerts", "[]", {**as_json, "Authorization": f"Bearer {expired}"}, 401),
        ("wrong scope", "/api/v1/alerts", "[]", {**as_json, "Authorization": f"Bearer {reader}"}, 403),
    ]
    for name, path, body, headers, status in cases:
        headers = {"Authorization": f"Bearer {key}", **headers}
        if not headers["Authorization"]:
            del headers["Authorization"]
        answer = httpx.post(f"{up.api}{path}", content=body, headers=headers, timeout=30)
        assert answer.status_code == status, f"{name} to {path}: {answer.status_code} {answer.text[:300]}"
        told = answer.json()
        assert told["request_id"] == answer.headers["X-Request-ID"]
        if status >= 400:
            assert {"code", "status", "message"} <= told.keys(), told
            assert told["code"] == status
        elif path.endswith("metrics"):
            assert (told["accepted"], told["rejected"]) == (0, 1), told
        else:
            assert told["quarantined"] == 1, told
    assert "Traceback" not in up.output()
    return f"{len(cases)} of {len(cases)} kinds of bad input answered rightly, no traceback in any log"


def a_real_alertmanager_delivers(up: Up, folder: Path, *, fires_s: float = 15.0) -> str:
    """A rule of a real Prometheus fires and ends; through a real Alertmanager the alert's life arrives right."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"RealRule{time.time_ns()}"
    ends = time.time() + fires_s
    with (
        Alertmanager(folder, api=up.api, key=up.facts["api_key"]) as alertmanager,
        # It finds its Alertmanager some seconds after the first evaluation; what it sent before is lost.
        prometheus(folder, _alerting(folder, alertmanager.address, name, ends), "--rules.alert.resend-delay=1s"),
        up.client() as client,
    ):
        firing = wait_for(lambda: all_alerts(client, alert_name=name), timeout_s=60, what="the firing alert")
        assert firing[0]["status"] == "firing"
        assert firing[0]["severity"] == "warning"
        assert firing[0]["annotations"] == {"summary": "a rule of a real Prometheus"}
        resolved = wait_for(
            lambda: all_alerts(client, alert_name=name, status="resolved"), timeout_s=90, what="the resolved alert"
        )
        assert [alert["id"] for alert in resolved] == [firing[0]["id"]]
        told = client.get(f"/api/v1/alerts/{firing[0]['id']}").json()
    assert [entry["change"] for entry in told["history"]] == ["firing", "resolved"]
    began, ended = times.parse(told["starts_at"]), times.parse(told["ends_at"])
    assert times.to_epoch(began) < ends < times.to_epoch(ended) + 1
    return f"firing and resolved arrived, one row, life of {(ended - began).total_seconds():.0f} s"


def a_real_prometheus_writes(up: Up, folder: Path, *, for_s: float, kill: bool) -> str:
    """What a real Prometheus wrote is stored as it has it itself, sample by sample, though the API be killed."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.time()
    killed: list[int] = []
    with prometheus(folder, _writing(up)) as url:
        while time.time() < began + for_s:
            time.sleep(0.5)
            if kill and not killed and time.time() > began + for_s / 2:
                killed = up.pids("web")
                for pid in killed:
                    _kill(pid)
        until_s = time.time() - 2.0  # a scrape that is under way has the time of its beginning
        expected = _samples_of_prometheus(url, until_s, over_s=int(for_s) + 60)
        ours: dict[Sample, float] = {}

        def all_there() -> bool:
            nonlocal ours
            ours = _samples_of_ours(up, until_s)
            return len(ours) >= len(expected)

        wait_for(all_there, timeout_s=90, what="everything that Prometheus wrote", every_s=1)
    assert len(expected) > 100 * for_s, len(expected)
    missing, surplus = expected.keys() - ours.keys(), ours.keys() - expected.keys()
    assert not missing, f"{len(missing)} missing: {sorted(missing)[:3]}"
    assert not surplus, f"{len(surplus)} too many: {sorted(surplus)[:3]}"
    assert ours == expected
    series = len({key[:2] for key in ours})
    return f"{len(ours)} samples of {series} series, each equal" + f", {len(killed)} processes killed" * kill


def a_life_without_the_api(up: Up, alertmanager: Alertmanager, folder: Path, *, fires_s: float, hurried: bool) -> str:
    """The API is down while a rule of a real Prometheus fires and ends; afterwards the alert is there, and over.

    `hurried` asks the reconciler at each second, in place of its own time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"Unheard{time.time_ns()}"

    def stored() -> tuple[str, int] | None:
        if hurried:
            Celery(broker=up.facts["redis_url"]).send_task("tasks.reconciler.reconcile", queue="maintenance")
        with psycopg.connect(up.facts["database_url"]) as connection:
            return connection.execute(
                "SELECT status, times_received FROM alerts WHERE alert_name = %s", [name]
            ).fetchone()

    with _kept_down(up, "web"):
        wait_for(lambda: not _answers(f"{up.api}/health/live"), "the API is down")
        ends = time.time() + fires_s
        with prometheus(folder, _alerting(folder, alertmanager.address, name, ends), "--rules.alert.resend-delay=1s"):
            assert wait_for(stored, "the alert is stored", timeout_s=fires_s, every_s=1) == ("firing", 1)
            alertmanager.wait_until_listed(name, False, timeout_s=fires_s + 60)
            wait_for(lambda: stored() == ("resolved", 1), "the alert is resolved", timeout_s=120, every_s=1)
        assert not _answers(f"{up.api}/health/live")
    wait_for(lambda: _answers(f"{up.api}/health/ready"), "the API is back", timeout_s=90, every_s=0.5)
    with up.client() as client:
        (told,) = all_alerts(client, alert_name=name)
        history = client.get(f"/api/v1/alerts/{told['id']}").json()["history"]
    assert [(entry["change"], entry["actor"]) for entry in history] == [
        ("firing", "reconciler"),
        ("resolved", "reconciler"),
    ]
    off_s = abs(times.to_epoch(times.parse(told["ends_at"])) - ends)
    assert off_s < 90, f"its end is {off_s:.0f} s off"
    return f"an alert of {fires_s:.0f} s is there, firing and resolved, its end {off_s:.0f} s off"


def everything_is_there(up: Up, before: dict[str, Any]) -> str:
    """What `snapshot` saw is still there after a restart."""
    after = snapshot(up)
    # Analysts go on where they stopped, so there may be more by now.
    more = after.pop("analyses") - before["analyses"]
    assert more >= 0
    assert after == {name: count for name, count in before.items() if name != "analyses"}
    return f"{len(before['alerts'])} alerts, {before['samples']} samples, {before['analyses']} analyses still there"


def snapshot(up: Up) -> dict[str, Any]:
    """What is stored, as far as a restart must keep it."""
    with psycopg.connect(up.facts["database_url"]) as connection, up.client() as client:
        count = lambda table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: E731
        alerts = sorted((a["id"], a["status"], a["starts_at"]) for a in all_alerts(client))
        return {"alerts": alerts, "samples": count("samples"), "analyses": count("ai_analysis_results")}


def _finished(client: httpx.Client, alert_id: int, outcome: str | None = None) -> dict[str, Any] | None:
    answer = client.get(f"/api/v1/alerts/{alert_id}/analysis")
    if not answer.is_success:
        return None
    analysis: dict[str, Any] = answer.json()
    return analysis if analysis["status"] == "done" and outcome in (None, analysis["outcome"]) else None


def _pages(client: httpx.Client, path: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        answer = client.get(path, params={"limit": 200, **query, **({"cursor": cursor} if cursor else {})})
        if answer.status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
            continue
        answer.raise_for_status()
        page = answer.json()
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _shifted(source: Path) -> list[tuple[datetime, float]]:
    with source.open(newline="") as file:
        rows = [(times.parse(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    shift = datetime.now(UTC).replace(microsecond=0) - rows[-1][0]
    return [(at + shift, value) for at, value in rows]


def _write_series(path: Path, rows: list[tuple[datetime, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "value"))
        writer.writerows((times.isoformat(at), repr(value)) for at, value in rows)


def _scores(
    client: httpx.Client, labels: dict[str, str], rows: list[tuple[datetime, float]], expected: int
) -> list[list[Any]] | None:
    query: dict[str, Any] = {
        "metric_name": "volume",
        "label": f"run={labels['run']}",
        "start": times.isoformat(min(rows)[0]),
        "end": times.isoformat(max(rows)[0]),
    }
    found: list[list[Any]] = []
    while True:
        answer = client.get("/api/v1/scores", params=query)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        page = answer.json()
        found += page["scores"]
        if not page.get("next_cursor"):
            return found if len(found) == expected else None
        query["cursor"] = page["next_cursor"]


def _sensus(*words: object) -> None:
    command = [sys.executable, "-m", "sensus.cli", *map(str, words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # Its parent's end was its own.


@contextmanager
def _kept_down(up: Up, name: str) -> Iterator[None]:
    """A process of the stack is killed whenever it is there."""
    over = Event()

    def keep_killing() -> None:
        while not over.wait(0.3):
            for pid in up.pids(name):
                _kill(pid)

    killer = Thread(target=keep_killing)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def _token(up: Up, *, expires: datetime) -> str:
    with up.admin() as admin:
        valid = admin.headers["Authorization"].removeprefix("Bearer ")
    secret = json.loads((up.data / "secrets.json").read_text())["jwt_secret"]
    claims = jwt.decode(valid, secret, algorithms=["HS256"])
    return jwt.encode({**claims, "exp": expires}, secret, algorithm="HS256")


@contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with ExitStack() as stack:
        file = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_for(ready, timeout_s=30, what=f"{command[0]}; its log is {log}")
            yield
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def prometheus(folder: Path, config: dict[str, Any], *options: str) -> Iterator[str]:
    """A Prometheus with this configuration on a free port; its address."""
    from sensus.runtime import ports

    port = ports.choose(0, "test")
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    with _running(command, folder / "prometheus.log", lambda: _answers(f"http://127.0.0.1:{port}/-/ready")):
        yield f"http://127.0.0.1:{port}"


def _alerting(folder: Path, alertmanager: str, name: str, ends: float) -> dict[str, Any]:
    rule = {
        "alert": name,
        "expr": f"vector(time()) < {ends}",
        "labels": {"severity": "warning", "service": "demo"},
        "annotations": {"summary": "a rule of a real Prometheus"},
    }
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "test", "interval": "1s", "rules": [rule]}]}))
    return {
        "global": {"evaluation_interval": "1s", "scrape_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
    }


def _writing(up: Up) -> dict[str, Any]:
    """Prometheus watches the API and Flower each second, and writes what it sees to the API."""
    return {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [up.facts[name].removeprefix("http://")]}]}
            for name in ("api", "flower")
        ],
        "remote_write": [
            {
                "url": f"{up.api}/api/v1/write",
                "authorization": {"credentials": up.unlimited_key()},
                "queue_config": {"batch_send_deadline": "1s"},
            }
        ],
    }


Sample = tuple[str, tuple[tuple[str, str], ...], int]


def _samples_of_prometheus(url: str, until_s: float, over_s: int) -> dict[Sample, float]:
    """Every number it has, by name, labels and milliseconds."""
    query = {"query": f'{{__name__=~".+"}}[{over_s}s]', "time": until_s}
    answer = httpx.get(f"{url}/api/v1/query", params=query, timeout=60).json()
    assert answer["status"] == "success", answer
    found = {}
    for series in answer["data"]["result"]:
        name = series["metric"].pop("__name__")
        labels = tuple(sorted(series["metric"].items()))
        for at, text in series["values"]:
            if math.isfinite(value := float(text)):
                found[name, labels, round(at * 1000)] = value
    return found


def _samples_of_ours(up: Up, until_s: float) -> dict[Sample, float]:
    """Every sample that Prometheus wrote, by the same key."""
    import psycopg

    query = """
        SELECT metric_name, labels, round(extract(epoch FROM timestamp) * 1000)::bigint, metric_value FROM metrics
        WHERE labels @? '$.job ? (@ == "api" || @ == "flower")' AND timestamp <= to_timestamp(%s)
    """
    with psycopg.connect(up.facts["database_url"]) as connection:
        rows = connection.execute(query, (until_s,)).fetchall()
    return {(name, tuple(sorted(labels.items())), at): value for name, labels, at, value in rows}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.HTTPError:
        return False
