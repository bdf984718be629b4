"""How gunicorn serves the API; addresses and numbers come from its command line."""

from __future__ import annotations

import os
from typing import Protocol

from prometheus_client import multiprocess

worker_class = "gthread"
timeout = 60
# Short, because a console that follows the event stream never lets go by itself.
graceful_timeout = 5
keepalive = 5
accesslog = None
errorlog = "-"
loglevel = "warning"
# It would lie in the user's home, one for all installations.
control_socket_disable = True


class _Worker(Protocol):
    pid: int


def child_exit(_server: object, worker: _Worker) -> None:
    """Without this the gauges of a dead worker would be shown for ever."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # it has no types
