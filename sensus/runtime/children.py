"""One process of ours: started in a session of its own, listened to, waited for, signalled, killed with all its kin."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

from sensus.errors import SensusError
from sensus.runtime.kin import kill_group, kill_tree
from sensus.runtime.output import lines_of
from sensus.runtime.processes import ProcessSpec

_REMEMBERED_LINES = 20


class Child:
    """A running process; `on_line` and `on_exit` are called from threads of its own."""

    def __init__(
        self,
        spec: ProcessSpec,
        marker: dict[str, str],
        on_line: Callable[[str], None],
        on_exit: Callable[[Child], None],
    ) -> None:
        self.spec = spec
        self.started_at = time.monotonic()
        self.status: int | None = None
        self._last_lines: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._lock = threading.Lock()
        self.exited = threading.Event()
        try:
            self._process = subprocess.Popen(
                spec.command,
                env={**spec.env, **marker},
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches every process of a terminal's session: each would stop by itself, in no order.
                start_new_session=True,
            )
        except OSError as error:
            raise SensusError(f"{spec.name} can't be started: {error}") from error
        self.pid = self._process.pid
        self._pump = threading.Thread(target=self._read, args=(on_line,), name=f"{spec.name}-output", daemon=True)
        self._pump.start()
        threading.Thread(target=self._wait, args=(on_exit,), name=f"{spec.name}-exit", daemon=True).start()

    def signal(self, how: signal.Signals) -> None:
        """Send a signal to the process itself; nothing happens when it has gone."""
        # The lock keeps the pid ours: the process is not reaped, and its number not given away, meanwhile.
        with self._lock:
            if self.status is None:
                os.kill(self.pid, how)

    def kill(self) -> None:
        """SIGKILL the process and everything that descends from it."""
        with self._lock:
            if self.status is None:
                kill_tree(self.pid)

    def how_it_ended(self) -> str:
        if self.status is None:
            return "still runs"
        if self.status < 0:
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"exited with status {self.status}"

    def last_words(self) -> str:
        """The end of its output, on one line."""
        self._pump.join(0.5)
        lines = [line.strip() for line in list(self._last_lines) if line.strip()]
        return " / ".join(lines[-3:])[-500:] or "it said nothing"

    def _read(self, on_line: Callable[[str], None]) -> None:
        output: IO[bytes] | None = self._process.stdout
        assert output is not None  # noqa: S101 - a pipe was asked for.
        with output:
            for line in lines_of(output.fileno()):
                self._last_lines.append(line)
                on_line(line)

    def _wait(self, on_exit: Callable[[Child], None]) -> None:
        # The process stays a zombie while its group is killed, so the group's number can't be anybody else's.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            kill_group(self.pid)
            self.status = self._process.wait()
        self.exited.set()
        on_exit(self)
