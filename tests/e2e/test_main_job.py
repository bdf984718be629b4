"""What a stranger gets from `sensus up`, on the real stack, with small inputs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from sensus.runtime import ports
from tests import scenarios
from tests.alertmanager import Alertmanager
from tests.servers import PrivateServers
from tests.stack import SENSUS, Up, environment, sensus_up
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_captured_webhooks_become_ten_alerts_and_each_firing_one_is_analysed(up: Up) -> None:
    scenarios.captured_webhooks_become_ten_alerts(up)
    scenarios.firing_alerts_are_analysed(up, outcome="model")


def test_a_refire_is_a_second_episode(up: Up) -> None:
    scenarios.a_refire_is_a_second_episode(up)


def test_bad_input_gets_a_clear_error(up: Up) -> None:
    scenarios.bad_input_gets_a_clear_error(up)


@pytest.mark.parametrize(("batch", "kill", "twice"), [(500, False, True), (7, True, False)])
def test_live_scores_equal_offline_scores(
    up: Up, series: Path, tmp_path: Path, batch: int, kill: bool, twice: bool
) -> None:
    scenarios.live_equals_offline(up, series, tmp_path, batch=batch, kill=kill, twice=twice)


@pytest.mark.peers
def test_a_real_alertmanager_delivers_the_life_of_an_alert(up: Up, tmp_path: Path, peers: None) -> None:
    scenarios.a_real_alertmanager_delivers(up, tmp_path)


@pytest.mark.peers
def test_what_a_real_prometheus_writes_is_what_it_has(up: Up, tmp_path: Path, peers: None) -> None:
    scenarios.a_real_prometheus_writes(up, tmp_path, for_s=10.0, kill=False)


@pytest.mark.faults
def test_an_alert_whose_whole_life_met_no_api_is_there_afterwards(tmp_path: Path, peers: None) -> None:
    port = ports.choose(0, "a test")
    with Alertmanager(tmp_path / "alertmanager", api=f"http://127.0.0.1:{port}") as alertmanager:
        settings = environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9", SENSUS_ALERTMANAGER_URL=alertmanager.url)
        with sensus_up(tmp_path / "data", env=settings, options=("--port", str(port))) as running:
            scenarios.a_life_without_the_api(running, alertmanager, tmp_path / "peers", fires_s=12.0, hurried=True)


def test_every_page_of_the_docs_is_served_by_us(up: Up) -> None:
    page = httpx.get(f"{up.api}/docs", follow_redirects=True)
    assert page.status_code == 200
    assert "swagger" in page.text.lower()
    assert "//cdn" not in page.text
    assert httpx.get(f"{up.api}/openapi.json").json()["info"]["title"] == "Sensus"


def test_health_and_metrics_answer_for_all_processes(up: Up) -> None:
    health = httpx.get(f"{up.api}/health", timeout=10).json()
    assert health["status"] == "ok", health
    assert set(health["checks"]) == {"database", "redis", "workers", "ollama"}
    shown = httpx.get(f"{up.api}/metrics").text
    assert 'sensus_tasks_total{state="' in shown or "sensus_tasks_total{" in shown


def test_flower_asks_for_the_admin_login(up: Up) -> None:
    flower = up.facts["flower"]
    login = up.facts["admin"]
    assert httpx.get(f"{flower}/workers").status_code == 401
    assert httpx.get(f"{flower}/workers", auth=(login["username"], login["password"])).status_code == 200


def test_run_json_is_for_its_owner_only(up: Up) -> None:
    assert (up.data / "run.json").stat().st_mode & 0o777 == 0o600


def test_a_second_start_on_the_same_folder_names_the_first(up: Up) -> None:
    command = [*SENSUS, "up", "--port", "0", "--data", str(up.data)]
    second = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert str(up.process.pid) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert up.process.poll() is None


def test_a_port_that_is_taken_is_named_with_its_setting(up: Up, tmp_path: Path) -> None:
    taken = up.api.rsplit(":", 1)[1]
    command = [*SENSUS, "up", "--port", taken, "--data", str(tmp_path / "other")]
    second = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert taken in second.stderr
    assert "SENSUS_PORT" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_what_gunicorn_refuses_has_the_shape_of_our_errors(up: Up) -> None:
    with up.client() as client:
        assert client.get("/api/v1/alerts", params={"severity": "x" * 5_000}).status_code == 422
        answer = client.get("/api/v1/alerts", params={"severity": "x" * 9_000})
    assert answer.status_code == 414
    assert answer.json()["code"] == 414
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_a_training_can_be_asked_for_and_followed(up: Up) -> None:
    with up.admin() as admin:
        asked = admin.post("/api/v1/models/train")
        assert asked.status_code == 202, asked.text
        path = f"/api/v1/tasks/{asked.json()['task_id']}"
        ended = wait_for(
            lambda: (found := admin.get(path).json())["state"] in ("done", "failed") and found,
            timeout_s=120,
            what="the training",
            every_s=2,
        )
    assert ended["state"] == "done", ended


def test_a_killed_process_is_started_again(up: Up) -> None:
    before = up.pids("beat")[0]
    psutil.Process(before).kill()
    wait_for(lambda: up.pids("beat")[:1] not in ([], [before]), timeout_s=30, what="beat to be started again")


@pytest.mark.faults
def test_a_restart_keeps_everything_and_stopping_leaves_no_process(tmp_path: Path, model) -> None:
    settings = environment(SENSUS_OLLAMA_URL=model.url)
    with sensus_up(tmp_path / "data", env=settings, options=("--demo",)) as running:
        wait_for(lambda: "anomalies found" in running.output(), timeout_s=120, what="the demo")
        before = scenarios.snapshot(running)
        started = psutil.Process(running.process.pid).children(recursive=True)
        assert running.stop() < 15
        assert running.process.returncode == 0
        told = running.output()
        assert told.splitlines()[-1].endswith("| stopped")
        assert "Ctrl+C" not in told
        assert f"admin / {running.facts['admin']['password']}" in told
        assert not [process for process in started if process.is_running()]
        assert not (tmp_path / "data" / "run.json").exists()
    with sensus_up(tmp_path / "data", env=settings) as running:
        scenarios.everything_is_there(running, before)
        again = running.output().removeprefix(told)
        assert running.facts["admin"]["password"] not in again
        assert f"login and key: {tmp_path / 'data' / 'secrets.json'}" in again
        assert json.loads((tmp_path / "data" / "run.json").read_text())["api"] == running.api


@pytest.mark.faults
def test_redis_may_be_away_while_alerts_come(tmp_path: Path) -> None:
    with PrivateServers() as servers:
        settings = {"SENSUS_DATABASE_URL": servers.database_url, "SENSUS_REDIS_URL": servers.redis_url}
        with sensus_up(
            tmp_path / "data", env=environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9", **settings)
        ) as running:
            scenarios.redis_may_be_away(running, servers.redis, webhooks=20, away_s=5.0)
