"""Calls that may cost a request 50 ms at most: a time limit from outside, and a breaker behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from sensus.errors import Unavailable

T = TypeVar("T")


class Guard:
    """Runs calls to a server that may be away.

    A call runs in a thread of its own pool, because neither name resolution nor a half-open connection
    obeys socket timeouts.  After a failure the guard refuses at once for `rest_s`, then lets one call
    through to try.
    """

    def __init__(
        self,
        name: str,
        *,
        limit_s: float = 0.05,
        rest_s: float = 1.0,
        threads: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._limit_s = limit_s
        self._rest_s = rest_s
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"guard-{name}")
        self._lock = threading.Lock()
        self._open_until = 0.0
        self._stuck = 0
        self._threads = threads

    @property
    def is_open(self) -> bool:
        """Whether calls are refused at present."""
        return self._clock() < self._open_until

    def call(self, work: Callable[[], T]) -> T:
        """The call's result.  Raises Unavailable when the server is away, slow, or known to be."""
        with self._lock:
            if self.is_open or self._stuck >= self._threads:
                raise Unavailable(f"{self._name} is away")
            if self._open_until:
                # Half open: the others wait for the outcome of this one call.
                self._open_until = self._clock() + self._rest_s
            self._stuck += 1
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._finished())
        try:
            result = future.result(timeout=self._limit_s)
        except FutureTimeout:
            self._trip()
            raise Unavailable(f"{self._name} did not answer within {self._limit_s * 1000:.0f} ms") from None
        except Exception as error:
            self._trip()
            raise Unavailable(f"{self._name} is away") from error
        self._open_until = 0.0
        return result

    def close(self) -> None:
        """Let go of the threads without waiting for a stuck call."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _trip(self) -> None:
        self._open_until = self._clock() + self._rest_s

    def _finished(self) -> None:
        with self._lock:
            self._stuck -= 1
