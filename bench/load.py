"""How fast does a server answer prepared requests?  Senders that cost less than any server: threads on raw sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sensus.errors import SensusError

SENDERS = 4
_ANSWER_WITHIN_S = 60.0
# A connection stays with the process that took it. Changed now and then, no round depends on one lucky or
# unlucky spread of four connections over two processes.
_REQUESTS_A_CONNECTION = 50


class Refused(SensusError):
    """The server answered something else than a success, or nothing; then a rate means nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """One body, and how many alerts or samples are in it."""

    body: bytes
    items: int


Shards = Sequence[Sequence[Request]]  # what each sender sends, in order


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and what stands in their head."""

    port: int
    path: str
    headers: Mapping[str, str]
    method: str = "POST"

    def head(self, length: int) -> bytes:
        """Request line and headers of a body of this length."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request, and when."""

    request: Request
    body: bytes
    took_s: float


@dataclass(frozen=True, slots=True)
class Burst:
    """All answers of some seconds of sending as fast as they come."""

    answers: list[Answer]
    seconds: float
    loader_cpu_s: float

    @property
    def items(self) -> int:
        return sum(answer.request.items for answer in self.answers)


class _Sender(threading.Thread):
    def __init__(self, target: Target, requests: Sequence[Request], begin: threading.Barrier, stop: threading.Event):
        super().__init__(daemon=True)
        self.answers: list[Answer] = []
        self.error: Exception | None = None
        self._target = target
        self._requests = requests
        self._begin = begin
        self._stop_now = stop

    def run(self) -> None:
        try:
            self._begin.wait()
            self._send()
        except Exception as error:
            self.error = error
        finally:
            # With one sender less the rest would measure something else.
            self._stop_now.set()

    def _send(self) -> None:
        for first in range(0, len(self._requests), _REQUESTS_A_CONNECTION):
            with connect(self._target.port) as connection:
                for request in self._requests[first : first + _REQUESTS_A_CONNECTION]:
                    if self._stop_now.is_set():
                        return
                    self.answers.append(exchange(connection, self._target, request))


def send(target: Target, shards: Shards, *, seconds: float) -> Burst:
    """Send until the time is over or a sender has nothing left; each waits for its answer before the next.

    Raises Refused at the first answer that is no success.
    """
    stop = threading.Event()
    begin = threading.Barrier(len(shards) + 1)
    senders = [_Sender(target, requests, begin, stop) for requests in shards]
    for sender in senders:
        sender.start()
    cpu = time.process_time()
    begin.wait()
    began = time.perf_counter()
    stop.wait(seconds)
    stop.set()
    for sender in senders:
        sender.join()
    took = time.perf_counter() - began
    cpu = time.process_time() - cpu
    for sender in senders:
        if sender.error is not None:
            raise Refused(f"POST {target.path}: {sender.error}") from sender.error
    return Burst([answer for sender in senders for answer in sender.answers], took, cpu)


def connect(port: int) -> socket.socket:
    """A connection to a server on this machine."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_WITHIN_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def exchange(connection: socket.socket, target: Target, request: Request) -> Answer:
    """One request and its answer.  Raises Refused when it is no success."""
    began = time.perf_counter()
    connection.sendall(target.head(len(request.body)) + request.body)
    body = _answer(connection)
    return Answer(request, body, time.perf_counter() - began)


def _answer(connection: socket.socket) -> bytes:
    """The body of a success."""
    received = _more(connection)
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _more(connection)
    head, body = received[:end], received[end + 4 :]
    length = _content_length(head)
    while len(body) < length:
        body += _more(connection)
    if head[9:10] != b"2":
        raise Refused(f"answered {head[9:12].decode()}: {body[:300].decode('utf-8', 'replace')}")
    return body


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(262_144)
    if not chunk:
        raise Refused("the server closed the connection in the middle of a request")
    return chunk


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0
