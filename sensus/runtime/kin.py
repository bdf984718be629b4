"""What belongs to a process that we started, and how does all of it end?"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

# In the environment of all that a supervisor starts, so that what was started in the last moment before it was
# killed, or has left its process group, is found as well.
MARKER = "SUPERVISOR_RUN"


def kill_group(pid: int) -> None:
    """SIGKILL a process group; nothing happens when it is empty."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def kill_tree(pid: int) -> None:
    """SIGKILL a process, its group and its descendants; PostgreSQL's backends have sessions of their own."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        family = []
    kill_group(pid)
    for process in family:
        try:
            process.kill()
        except psutil.Error:
            continue  # It has gone with its parent.


def marked(run: str) -> list[psutil.Process]:
    """The processes that bear the mark of this run of a supervisor, but for the caller."""
    wanted = f"{MARKER}={run}".encode()
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _bears(process, wanted)]


def _bears(process: psutil.Process, wanted: bytes) -> bool:
    try:
        return wanted in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False  # Gone, or somebody else's.
