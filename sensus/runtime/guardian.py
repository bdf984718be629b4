"""Who cleans up when the supervisor itself is killed?  A small process at the other end of a pipe.

The supervisor tells it what runs. The pipe closes when the supervisor ends, however it ends; what still
runs then is stopped, and killed when it does not stop in seconds. (PDEATHSIG would be forgotten at each
change of user, and reach children only.)
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import psutil

from sensus.runtime.kin import kill_tree, marked

PATIENCE_S = 3.0


class Guardian:
    """The supervisor's end."""

    def __init__(self, run: str, on_death: Callable[[], None]) -> None:
        self._on_death = on_death
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, run],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=self._watch, name="guardian-exit", daemon=True).start()

    def add(self, pid: int, stop_signal: signal.Signals) -> None:
        self._tell(f"add {pid} {stop_signal.value}\n")

    def remove(self, pid: int) -> None:
        self._tell(f"remove {pid}\n")

    def close(self) -> None:
        """Let it go; it still kills what should be left."""
        self._on_death = lambda: None
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for.
        try:
            self._process.stdin.close()
        except OSError:
            pass  # It died before; there is nothing left to tell it.
        try:
            self._process.wait(PATIENCE_S + 2)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for.
        try:
            self._process.stdin.write(line.encode("ascii"))
            self._process.stdin.flush()
        except OSError:
            pass  # It has died; `on_death` makes a new one, which is told everything.

    def _watch(self) -> None:
        self._process.wait()
        self._on_death()


def main(run: str) -> None:
    """The other end: listen until the pipe closes, then clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    guarded: dict[int, tuple[psutil.Process, int]] = {}
    for line in sys.stdin:
        verb, pid, *stop_signal = line.split()
        if verb == "remove":
            guarded.pop(int(pid), None)
            continue
        try:
            # psutil remembers when the process began, and so will not signal another of the same number.
            guarded[int(pid)] = (psutil.Process(int(pid)), int(stop_signal[0]))
        except psutil.Error:
            continue
    _stop(list(guarded.values()))
    for process in marked(run):
        kill_tree(process.pid)


def _stop(guarded: list[tuple[psutil.Process, int]]) -> None:
    for process, stop_signal in reversed(guarded):
        try:
            process.send_signal(stop_signal)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs([process for process, _ in guarded], timeout=PATIENCE_S)
    for process in alive:
        if process.is_running():
            kill_tree(process.pid)


if __name__ == "__main__":
    main(sys.argv[1])
