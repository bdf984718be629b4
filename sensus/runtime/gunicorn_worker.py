"""How does a process of the API stay able to answer when all its threads are busy?  It refuses, and soon."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from sensus import overload

_REFUSERS = 2


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # it has no types
    """Gunicorn's threaded worker, which would let a request wait for a thread without end.

    Once the oldest request that waits has waited too long, new ones go to threads that only refuse.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # When each request that waits for a thread came; threads take them in this order.
        self._waiting: deque[float] = deque()
        self._refusers: ThreadPoolExecutor | None = None

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection with a request to a thread; from the main thread, as are all accepts."""
        now = time.monotonic()
        if self._waiting and now - self._waiting[0] > overload.PATIENCE_S:
            # Made here because it is seldom needed, and must not be made before the fork.
            self._refusers = self._refusers or ThreadPoolExecutor(_REFUSERS, thread_name_prefix="refuse")
            future = self._refusers.submit(self._serve, conn, refuse=True)
        else:
            self._waiting.append(now)
            future = self.tpool.submit(self._take, conn)
        future.add_done_callback(lambda done: self._done(conn, done))

    def _take(self, conn: TConn) -> Any:
        came = self._waiting.popleft()
        return self._serve(conn, refuse=time.monotonic() - came > overload.PATIENCE_S)

    def _serve(self, conn: TConn, *, refuse: bool) -> Any:
        overload.note(refuse=refuse)
        return self.handle(conn)

    def _done(self, conn: TConn, done: Future[Any]) -> None:
        self.method_queue.defer(self.finish_request, conn, done)
