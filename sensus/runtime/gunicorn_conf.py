"""How gunicorn serves the API; addresses and numbers come from its command line."""

from __future__ import annotations

import json
import os
import socket
from typing import Protocol

from gunicorn import util
from prometheus_client import multiprocess

from sensus import logs

worker_class = "sensus.runtime.gunicorn_worker.PatientWorker"
timeout = 60
# Short, because a console that follows the event stream never lets go by itself.
graceful_timeout = 5
keepalive = 5
accesslog = None
errorlog = "-"
loglevel = "warning"
# It would lie in the user's home, one for all installations.
control_socket_disable = True
# A long selector with several labels fits; gunicorn's own limit is half of it.
limit_request_line = 8190


def _write_error(sock: socket.socket, status: int, reason: str, message: str) -> None:
    """What gunicorn itself refuses (a request line too long, broken headers) in the shape of our errors."""
    request_id = logs.new_request_id()
    body = json.dumps({"code": status, "status": reason, "message": message, "request_id": request_id}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin1") + body)


util.write_error = _write_error


class _Worker(Protocol):
    pid: int


def child_exit(_server: object, worker: _Worker) -> None:
    """Without this the gauges of a dead worker would be shown for ever."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # it has no types
