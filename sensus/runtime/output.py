"""How does the output of many processes reach one terminal?  Line by line, each with its name, holding nobody up."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterator

_MOST_WAITING = 5000
_LONGEST_LINE = 8000


class Console:
    """Lines from any thread, written by one.

    A terminal that is stopped, or a pipe that nobody reads, must not hold up the processes whose output it
    shows: at most 5,000 lines wait, then the oldest are dropped, and how many is said later.
    """

    def __init__(self, fd: int, *, colour: bool) -> None:
        self._fd = fd
        self._colour = colour
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._writing = False
        self._closed = False
        self._changed = threading.Condition()
        self._width = len("sensus")
        threading.Thread(target=self._write, name="console", daemon=True).start()

    def widen(self, width: int) -> None:
        """Make room for names of this length."""
        self._width = max(self._width, width)

    def line(self, name: str, text: str, colour: str) -> None:
        prefix = f"{name:<{self._width}} | "
        if self._colour and colour:
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.write(f"{prefix}{text}\n")

    def write(self, text: str) -> None:
        """Text as it is; never waits."""
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(text.encode("utf-8", "replace"))
            self._changed.notify_all()

    def flush(self, timeout_s: float = 1.0) -> None:
        """Wait until all is written, or the time is over."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while (self._waiting or self._writing) and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def close(self) -> None:
        """Write what waits and take no more."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _write(self) -> None:
        # The descriptor is written directly. A thread that is stuck inside sys.stdout would hold its lock, and
        # the interpreter could not leave.
        usable = True
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch = b"".join(self._waiting)
                if self._dropped:
                    batch = f"... {self._dropped} lines were dropped ...\n".encode() + batch
                self._waiting.clear()
                self._dropped = 0
                self._writing = True
            if usable:
                usable = _write_all(self._fd, batch)


def _write_all(fd: int, data: bytes) -> bool:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            time.sleep(0.05)  # someone made the terminal non-blocking, as ssh and some shells do
        except OSError:
            return False  # nobody listens any more; the processes go on
    return True


def lines_of(fd: int) -> Iterator[str]:
    """The lines of a pipe until its end; a line without end is cut, so memory stays small."""
    rest = b""
    while chunk := os.read(fd, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _decoded(line)
        if len(rest) > _LONGEST_LINE:
            yield _decoded(rest)
            rest = b""
    if rest:
        yield _decoded(rest)


def _decoded(line: bytes) -> str:
    return line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
