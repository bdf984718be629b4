"""Does a Sensus already run on this data folder?  One at a time; the second hears who the first is."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from sensus.errors import ConfigurationError
from sensus.runtime.secrets import private_folder

FILE = "sensus.lock"


class AlreadyRunning(ConfigurationError):
    """Another Sensus uses the data folder; `pid` is its process, 0 when it is not known."""

    def __init__(self, folder: Path, pid: int) -> None:
        who = f"pid {pid}" if pid else "another process"
        super().__init__(f"Sensus already runs on {folder} ({who}); stop it or choose another --data DIR")
        self.pid = pid


class FolderLock:
    """Held from `with` to its end, and released by the kernel should the process die.

    Children don't inherit it, so a leftover child does not keep the folder locked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = -1

    def __enter__(self) -> Self:
        private_folder(self._folder)
        path = self._folder / FILE
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{path} can't be opened ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _pid(os.read(handle, 32))
            os.close(handle)
            raise AlreadyRunning(self._folder, pid) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The file stays: were it removed, a second process could lock the old inode and a third a new one.
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def _pid(content: bytes) -> int:
    text = content.strip()
    return int(text) if text.isdigit() else 0
