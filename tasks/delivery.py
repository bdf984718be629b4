"""Send a message to a target, and be back in time whatever the target does."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import IO

from sensus import settings
from sensus.targets import Target
from tasks.notice import Notice

# Longest wait for the process that sends to be there.
START_S = 60.0
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one try; `error` is for anyone's eyes."""

    is_sent: bool
    error: str | None = None


def deliver_all(jobs: Sequence[tuple[Target, Notice]], *, timeout_s: float) -> list[Delivered]:
    """Send each message to its target, several at once; each takes `timeout_s` at most."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="delivery") as pool:
        return list(pool.map(lambda job: deliver(*job, timeout_s=timeout_s), jobs))


def deliver(target: Target, notice: Notice, *, timeout_s: float) -> Delivered:
    """Send one message.  What is not known to have been taken within the time counts as not sent."""
    job = json.dumps({"url": target.url, "limit_s": timeout_s, **asdict(notice)})
    # Its URL is all that it may know of our secrets, and no list of processes shows what comes through a pipe.
    known = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)}
    with subprocess.Popen(
        [sys.executable, "-m", "tasks.deliverer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=known,
        bufsize=0,
    ) as process:
        try:
            return _outcome(process, job, timeout_s)
        finally:
            process.kill()


def _outcome(process: subprocess.Popen[bytes], job: str, timeout_s: float) -> Delivered:
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for.
    assert process.stdout is not None  # noqa: S101 - here too.
    try:
        process.stdin.write(f"{job}\n".encode())  # and left open: its end is the end of the other process
        # The target's time begins when there is somebody to send: on a busy machine that takes long, and to cut off
        # what is being sent would send it twice.
        _line(process.stdout, START_S)
        told = json.loads(_line(process.stdout, timeout_s))
    except TimeoutError:
        return Delivered(False, f"no answer within {timeout_s:g} s")
    except (OSError, ValueError):
        return Delivered(False, "the process that sends it ended early")
    return Delivered(told["outcome"] == "sent", told["reason"])


def _line(pipe: IO[bytes], timeout_s: float) -> bytes:
    """The next line.  Raises TimeoutError when it doesn't come in time, ValueError when the other end is closed."""
    until = time.monotonic() + timeout_s
    read = b""
    while not read.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        # Byte by byte, so that nothing of the next line is taken.
        if not (one := os.read(pipe.fileno(), 1)):
            raise ValueError("no whole line")
        read += one
    return read
