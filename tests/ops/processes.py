"""One program of the check: started, killed, started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from tests.containers.tools import CheckFailed
from tests.waiting import wait_for

# The worker that scores makes its machine code at its first start, which takes minutes on a busy machine.
READY_S = 300.0


class Program:
    """A program with its children in a group of their own; its output goes to a log in `folder`."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str], ready: Callable[[], bool]
    ) -> None:
        self.name = name
        self._command = command
        self._log = folder / f"{name}.log"
        self._env = dict(env)
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready.  Raises CheckFailed with its last words when it ends before."""
        self.launch()
        wait_for(self._is_ready, f"{self.name}, whose log is {self._log}", timeout_s=READY_S, every_s=0.3)

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until it is ready."""
        wait_for(self._is_ready, f"{self.name}, whose log is {self._log}", timeout_s=READY_S, every_s=0.3)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it with all its children."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, how)
            process.wait(30)

    def revive(self) -> bool:
        """Start it again when it ended by itself, as whoever supervises it does; whether it had."""
        process = self._process
        if process is None or process.poll() is None:
            return False
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self.start()
        return True

    def pause(self) -> None:
        """It stays, and does nothing any more."""
        os.killpg(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        os.killpg(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        assert self._process is not None, f"{self.name} is not started"
        return self._process.pid

    def _is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            words = self._log.read_text("utf-8", "replace")[-2000:]
            raise CheckFailed(f"{self.name} ended with {self._process.returncode}:\n{words}")
        return self._ready()


def answers(url: str) -> Callable[[], bool]:
    """Whether something answers there with success."""

    def ask() -> bool:
        try:
            return httpx.get(url, timeout=5).is_success
        except httpx.HTTPError:
            return False

    return ask
