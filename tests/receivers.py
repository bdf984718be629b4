"""Where notifications arrive in tests: a real HTTP server and a real SMTP server, which can be away and come back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from sensus.runtime import ports


@dataclass
class WebhookReceiver:
    """Takes JSON by POST; `status` is its answer, and while `goes_on` is not set it keeps everybody waiting."""

    port: int = field(default_factory=lambda: ports.choose(0, "a test"))
    status: int = 200
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    goes_on: Event = field(default_factory=Event)
    _server: ThreadingHTTPServer | None = None

    def __post_init__(self) -> None:
        self.goes_on.set()

    def url(self, login: str = "") -> str:
        """As Apprise takes it."""
        return f"json://{login}127.0.0.1:{self.port}/hook"

    def start(self) -> None:
        """Be there, or be there again."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                receiver.headers.append(dict(self.headers))
                receiver.goes_on.wait(60)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be away: who comes is refused."""
        self.goes_on.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    @property
    def states(self) -> list[tuple[int, int]]:
        """The incident and state of each message, in order."""
        return [(body["incident_id"], body["incident_state"]) for body in self.bodies]


@dataclass
class MailServer:
    """Takes e-mail."""

    port: int = field(default_factory=lambda: ports.choose(0, "a test"))
    mails: list[Message] = field(default_factory=list)
    _controller: Controller | None = None

    @property
    def url(self) -> str:
        """As Apprise takes it."""
        return f"mailto://127.0.0.1:{self.port}?from=sensus@example.org&to=oncall@example.org&mode=insecure"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """What aiosmtpd calls for each mail."""
        self.mails.append(message_from_bytes(bytes(envelope.content or b"")))
        return "250 OK"

    def start(self) -> None:
        """Be there, or be there again."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Be away."""
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()
