"""A Celery worker as a process that a test may kill and start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.waiting import wait_for


class Worker:
    """`celery -A tasks.app worker` of one queue, with one child."""

    def __init__(self, queue: str, environment: Mapping[str, str], log: Path, *, concurrency: int = 1) -> None:
        self.queue = queue
        self._environment = dict(environment)
        self._log = log
        self._concurrency = concurrency
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes messages."""
        began_at = len(self.log())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "--app=tasks.app", "worker", f"--queues={self.queue}"),
                    *(f"--hostname={self.queue}@test", f"--concurrency={self._concurrency}", "--pool=prefork"),
                    *("--without-gossip", "--without-mingle", "--loglevel=INFO"),
                    "worker.soft_shutdown_timeout=0.5",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        wait_for(lambda: self._is_ready(began_at), "the worker is ready", timeout_s=60)

    def _is_ready(self, began_at: int) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the worker ended:\n{self.log()[-3000:]}"
        return " ready." in self.log()[began_at:]

    @property
    def pid(self) -> int:
        assert self._process is not None, "the worker is not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        """The processes that do the work."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def kill_child(self) -> None:
        """SIGKILL what does the work, as the kernel does when memory runs out."""
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop it as the supervisor does, and wait for its end."""
        process, self._process = self._process, None
        assert process is not None, "the worker is not started"
        process.terminate()
        process.wait(30)

    def kill(self) -> None:
        """SIGKILL all of it: the machine's power goes."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if process is not None:
            process.wait()

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """Its log lines."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
