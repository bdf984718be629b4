"""Each process of the stack by itself, as a container runs it: started, ready, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sensus.runtime import ports
from sensus.runtime.names import OURS
from sensus.runtime.probes import PULSE_FILE
from tests.servers import PrivateServers
from tests.stack import SENSUS, environment
from tests.waiting import wait_for

Environment = dict[str, str]


@pytest.fixture
def env(tmp_path: Path, servers: PrivateServers, database_url: str) -> Environment:
    """Settings as a Compose file gives them: addresses without passwords, secrets in files."""
    secrets = {
        "DATABASE_URL": database_url.replace("postgresql+psycopg", "postgresql"),
        "REDIS_URL": servers.redis_url,
        "JWT_SECRET": "j" * 40,
        "ADMIN_PASSWORD": "an admin's password",
        "SOURCE_KEY": "sns_" + "k" * 40,
    }
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret + "\n")
    return environment(
        SENSUS_DATA_DIR=str(tmp_path),
        SENSUS_PORT=str(ports.choose(0, "a test")),
        SENSUS_FLOWER_PORT=str(ports.choose(0, "a test")),
        SENSUS_METRICS_PORT=str(ports.choose(0, "a test")),
        SENSUS_OLLAMA_URL="http://127.0.0.1:9",
        **{f"SENSUS_{name}_FILE": str(tmp_path / name) for name in secrets},
    )


@contextmanager
def running(name: str, env: Environment) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*SENSUS, "run", name], env=env, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def sensus(env: Environment, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SENSUS, *words], env=env, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("name", OURS)
def test_a_process_by_itself_becomes_ready_and_leaves_at_sigterm(name: str, env: Environment) -> None:
    with running(name, env) as process:
        wait_for(lambda: sensus(env, "probe").returncode == 0, f"{name} is ready", timeout_s=60, every_s=0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=12)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    gone = sensus(env, "probe", name)
    if name != "beat":  # its pulse is still fresh
        assert (gone.returncode, gone.stderr) == (1, f"sensus: {name} is not ready\n")


@pytest.mark.parametrize("name", ["worker-anomaly", "beat"])
def test_a_process_whose_redis_is_away_is_not_ready_but_alive(name: str, env: Environment, tmp_path: Path) -> None:
    with PrivateServers(postgres=False) as own:
        Path(env["SENSUS_REDIS_URL_FILE"]).write_text(own.redis_url)
        with running(name, env):
            wait_for(lambda: sensus(env, "probe").returncode == 0, f"{name} is ready", timeout_s=60, every_s=0.5)
            assert sensus(env, "probe", "--alive").stdout == f"{name} is alive\n"
            own.redis.stop()
            pulse = tmp_path / PULSE_FILE
            if name == "beat":
                pulse.unlink()
            else:
                assert sensus(env, "probe").returncode == 1
            assert sensus(env, "probe", "--alive").returncode == 0
            own.redis.start()
            wait_for(lambda: sensus(env, "probe").returncode == 0, f"{name} is ready", timeout_s=60, every_s=0.5)
        gone = sensus(env, "probe", name, "--alive")
        if name != "beat":
            assert (gone.returncode, gone.stderr) == (1, f"sensus: {name} is not alive\n")


def test_waiting_for_the_tables_ends_when_they_are_there(env: Environment, servers: PrivateServers) -> None:
    empty = servers.new_database()
    Path(env["SENSUS_DATABASE_URL_FILE"]).write_text(empty.replace("postgresql+psycopg", "postgresql"))
    waiting = subprocess.Popen([*SENSUS, "db", "wait"], env=env, text=True, stdout=subprocess.PIPE)
    try:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waiting: the tables are not yet those of this release\n"
        assert sensus(env, "db", "upgrade").returncode == 0
        assert waiting.wait(30) == 0
    finally:
        waiting.kill()
        waiting.communicate()
        servers.drop_database(empty)


@pytest.mark.parametrize("name", ["worker-anomaly", "beat"])
def test_a_process_without_an_api_beside_it_shows_its_figures(env: Environment, name: str) -> None:
    with running(name, env):
        address = f"http://127.0.0.1:{env['SENSUS_METRICS_PORT']}/metrics"
        shown = wait_for(lambda: _answer(address), f"figures of {name}", timeout_s=60)
    assert "# TYPE sensus_anomalies_detected_total counter" in shown
    assert 'sensus_process_resident_memory_bytes{pid="' in shown
    assert f'process="{name}"' in shown
    assert "sensus_memory_limit_bytes " in shown


def _answer(address: str) -> str:
    try:
        return httpx.get(address).raise_for_status().text
    except httpx.HTTPError:
        return ""


def test_tables_and_first_access_are_made_and_may_be_made_again(env: Environment) -> None:
    for _ in range(2):
        done = sensus(env, "prepare")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("database is at ")
    with running("web", env):
        wait_for(lambda: sensus(env, "probe").returncode == 0, "the API is ready", timeout_s=60, every_s=0.5)
        api = f"http://127.0.0.1:{env['SENSUS_PORT']}/api/v1"
        key = Path(env["SENSUS_SOURCE_KEY_FILE"]).read_text().strip()
        assert httpx.get(f"{api}/alerts", headers={"Authorization": f"Bearer {key}"}).json()["items"] == []
        password = Path(env["SENSUS_ADMIN_PASSWORD_FILE"]).read_text().strip()
        assert httpx.post(f"{api}/auth/token", auth=("admin", password)).status_code == 200


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("web", "JWT_SECRET"),
        ("web", "DATABASE_URL"),
        ("worker-llm", "DATABASE_URL"),
        ("beat", "REDIS_URL"),
        ("flower", "ADMIN_PASSWORD"),
    ],
)
def test_what_is_missing_is_one_line_at_once(env: Environment, name: str, missing: str) -> None:
    del env[f"SENSUS_{missing}_FILE"]
    done = sensus(env, "run", name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"sensus: SENSUS_{missing} is not set; ")
    assert done.stderr.count("\n") == 1


def test_a_probe_where_nothing_runs_says_so(env: Environment, tmp_path: Path) -> None:
    done = sensus(env, "probe")
    assert (done.returncode, done.stderr) == (
        1,
        f"sensus: `sensus run` started nothing in {tmp_path}; name the process\n",
    )


def test_a_folder_that_can_not_be_written_is_one_line(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("in the way")
    done = sensus(env, "run", "web")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "set SENSUS_DATA_DIR to a folder of this user" in done.stderr
