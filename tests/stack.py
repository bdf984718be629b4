"""A real `sensus up` for tests: started from a command, watched from outside, stopped as a user stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.waiting import wait_for

SENSUS = (sys.executable, "-m", "sensus.cli")


@dataclass(slots=True)
class Up:
    """A running stack and the facts of its run.json."""

    process: subprocess.Popen[bytes]
    facts: dict[str, Any]
    log: Path
    data: Path
    started_s: float

    @property
    def api(self) -> str:
        """The base address of the API."""
        return str(self.facts["api"])

    def client(self, key: str | None = None) -> httpx.Client:
        """A client that carries the source key, or the one given."""
        return httpx.Client(
            base_url=self.api, headers={"Authorization": f"Bearer {key or self.facts['api_key']}"}, timeout=30
        )

    def admin(self) -> httpx.Client:
        """A client logged in as admin."""
        login = self.facts["admin"]
        answer = httpx.post(f"{self.api}/api/v1/auth/token", auth=(login["username"], login["password"]), timeout=30)
        answer.raise_for_status()
        return self.client(answer.json()["access_token"])

    def unlimited_key(self) -> str:
        """A new API key without a rate limit."""
        with self.admin() as admin:
            answer = admin.post("/api/v1/keys", json={"name": "bench", "scopes": ["read", "write"], "rate": None})
        answer.raise_for_status()
        return str(answer.json()["key"])

    def pids(self, name: str) -> list[int]:
        """The process of this name with its children, the process itself first."""
        words = {
            "postgres": "postgres",
            "redis": "valkey-server",
            "web": "gunicorn",
            "worker-anomaly": "--queues=anomaly",
            "worker-llm": "--queues=llm",
            "worker-maintenance": "--queues=maintenance",
            "beat": "beat",
            "flower": "flower",
        }
        for child in psutil.Process(self.process.pid).children():
            try:
                with_words = " ".join(child.cmdline())
            except psutil.NoSuchProcess:  # a zombie is one too
                continue
            if words[name] in with_words and "guardian" not in with_words:
                return [child.pid, *(each.pid for each in child.children(recursive=True))]
        return []

    def output(self) -> str:
        """Everything that the stack printed."""
        return self.log.read_text("utf-8", "replace")

    def stop(self, how: signal.Signals = signal.SIGINT, timeout_s: float = 20.0) -> float:
        """Stop as Ctrl-C does; seconds that it took."""
        began = time.monotonic()
        if self.process.poll() is None:
            # A terminal's Ctrl-C goes to the whole group, and so to the command behind `make`.
            os.killpg(self.process.pid, how)
            self.process.wait(timeout_s)
        return time.monotonic() - began


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with only the given settings of Sensus."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SENSUS_")}
    return {**kept, **settings}


@contextmanager
def sensus_up(
    data: Path,
    *,
    command: Sequence[str] = SENSUS,
    options: Sequence[str] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 120.0,
    **popen: Any,
) -> Iterator[Up]:
    """A stack on free ports in `data`, ready; stopped at the end of the block, killed when it does not stop."""
    log = data.parent / f"{data.name}.log"
    began = time.monotonic()
    with log.open("ab") as file:
        process = subprocess.Popen(
            [*command, *(("up", "--port", "0", "--data", str(data)) if command == SENSUS else ()), *options],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            env=dict(env or environment()),
            start_new_session=True,
            **popen,
        )
    try:
        run_file = data / "run.json"

        def facts() -> dict[str, Any] | None:
            assert process.poll() is None, f"sensus up ended with {process.returncode}:\n{log.read_text()[-4000:]}"
            return json.loads(run_file.read_text()) if run_file.exists() else None

        found = wait_for(facts, timeout_s=timeout_s, what=f"run.json; the log is {log}")
        yield Up(process, found, log, data, time.monotonic() - began)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
