"""A worker and beat that share a machine with no API show their figures themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sensus.runtime import ports
from tests.faults.tasks.conftest import Send, StartWorker
from tests.servers import PrivateServers
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


def shown(port: int) -> dict[tuple[str, str], float]:
    """Each figure by its name and the label that matters; none while nobody listens."""
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.HTTPError:
        return {}
    return {
        (sample.name, sample.labels.get("task") or sample.labels.get("process") or ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures_of(folder: Path, port: int) -> dict[str, str]:
    folder.mkdir()
    return {"SENSUS_METRICS_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(folder)}


def test_a_worker_shows_the_figures_of_its_processes_and_its_place_is_free_after_its_death(
    start_worker: StartWorker, send: Send, tmp_path: Path
) -> None:
    port = ports.choose(0, "a test")
    environment = figures_of(tmp_path / "figures", port)
    worker = start_worker("maintenance", **environment)
    send("tasks.upkeep.sweep")
    found = wait_for(lambda: (f := shown(port)).get(("sensus_tasks_total", "tasks.upkeep.sweep")) and f, "a sweep")
    assert found["sensus_process_resident_memory_bytes", "worker-maintenance"] > 10e6
    assert found["sensus_task_duration_seconds_count", "tasks.upkeep.sweep"] >= 1
    orphans = worker.children()
    os.kill(worker.pid, 9)
    again = start_worker("maintenance", **environment)
    wait_for(lambda: shown(port), "the figures of the next worker")
    assert again.pid not in orphans


def test_beat_tells_when_it_last_sent_a_message(servers: PrivateServers, database_url: str, tmp_path: Path) -> None:
    port = ports.choose(0, "a test")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SENSUS_")},
        "SENSUS_DATABASE_URL": database_url.replace("postgresql+psycopg", "postgresql"),
        "SENSUS_REDIS_URL": servers.redis_url,
        **figures_of(tmp_path / "figures", port),
    }
    with _beat(tmp_path, environment):
        sent = ("sensus_beat_sent_timestamp_seconds", "")
        first = wait_for(lambda: shown(port).get(sent), "beat has sent something")
        assert abs(first - time.time()) < 30
        wait_for(lambda: shown(port).get(sent, 0) > first, "beat sends on")


@contextmanager
def _beat(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with (folder / "beat.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app=tasks.app", "beat", f"--schedule={folder / 'schedule'}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
