"""What does a dead supervisor's stack still do on this folder?  Found by what it is, never by a number alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from sensus.errors import ConfigurationError
from sensus.runtime.kin import kill_tree, marked

PATIENCE_S = 10.0
GUARDIAN = "sensus.runtime.guardian"
GRACE_S = 2.0  # for what holds no data


def find(folder: Path, name: str) -> list[psutil.Process]:
    """Processes of this program whose working folder this is.

    PostgreSQL and Valkey both change to their data folder. A pid file alone proves nothing: after a
    restart of the machine the same number may be anybody's.
    """
    if not folder.exists():
        return []
    place = os.path.realpath(folder)
    return [process for process in psutil.process_iter() if _works_there(process, place, name)]


def stop(folder: Path, name: str, how: signal.Signals) -> int:
    """Stop what still runs on the folder, politely first; how many processes there were.

    Raises ConfigurationError when one of them belongs to another user or does not go away.
    """
    found = find(folder, name)
    pids = {process.pid for process in found}
    for process in found:
        # Children of a server are stopped by it; signalled directly they would take it for a crash. One whose
        # server is dead has nobody to tell it to stop.
        if _parent(process) not in pids:
            _send(process, signal.SIGKILL if _is_child(process, name) else how)
    _, alive = psutil.wait_procs(found, timeout=PATIENCE_S)
    for process in alive:
        _send(process, signal.SIGKILL)
    _, alive = psutil.wait_procs(alive, timeout=PATIENCE_S)
    if alive:
        raise ConfigurationError(f"a {name} (pid {alive[0].pid}) still uses {folder} and can't be stopped")
    return len(found)


def clear(run: str) -> int:
    """End what an earlier supervisor of this run has left; how many processes there were.

    The caller holds the folder's lock, so none of them has a supervisor that lives.
    """
    # A guardian is just cleaning up. Left alone it would take for leftovers what we are about to start.
    guardians = [process for process in psutil.process_iter() if _guards(process, run)]
    _, stuck = psutil.wait_procs(guardians, timeout=PATIENCE_S)
    found = marked(run)
    for process in (*stuck, *found):
        _send(process, signal.SIGKILL if process in stuck else signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=GRACE_S)
    for process in alive:
        kill_tree(process.pid)
    psutil.wait_procs(alive, timeout=GRACE_S)  # a port is free only when its process has really gone
    return len(found)


def _guards(process: psutil.Process, run: str) -> bool:
    try:
        return process.cmdline()[-3:] == ["-m", GUARDIAN, run]
    except psutil.Error:
        return False


def _works_there(process: psutil.Process, place: str, name: str) -> bool:
    try:
        return process.name() == name and process.cwd() == place and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False  # It has gone, or is somebody else's and so not a leftover of ours.


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return None


def _is_child(process: psutil.Process, name: str) -> bool:
    try:
        return " ".join(process.cmdline()).startswith(f"{name}: ")  # as in `postgres: checkpointer`
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise ConfigurationError(
            f"pid {process.pid}, of another user, uses this data folder; stop it or choose another --data DIR"
        ) from error
