"""One Sensus per data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sensus.runtime.lock import AlreadyRunning, FolderLock

HOLD = """
import sys, time
from pathlib import Path
from sensus.runtime.lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_hears_the_pid_of_the_first(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(AlreadyRunning) as refusal, FolderLock(tmp_path):
        pass

    assert refusal.value.pid == os.getpid()
    assert str(refusal.value) == (
        f"Sensus already runs on {tmp_path} (pid {os.getpid()}); stop it or choose another --data DIR"
    )


def test_a_folder_is_free_again_after_the_first_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with FolderLock(tmp_path):
            pass


def test_two_folders_do_not_meet(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "a"), FolderLock(tmp_path / "b"):
        pass


def test_the_lock_of_a_killed_process_is_gone_with_it(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder.stdout as output:
        assert output.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"pid {holder.pid}"), FolderLock(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()

    with FolderLock(tmp_path):
        pass
