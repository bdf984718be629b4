"""A small shop for tests: four services that call each other over HTTP and tell Prometheus of it; one can be broken."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CALLS: Mapping[str, Sequence[str]] = {
    "web": ("checkout", "catalog"),
    "checkout": ("orders",),
    "catalog": (),
    "orders": (),
}
_USUAL_S = 0.004
_BROKEN_S = 0.8
_BROKEN_FAILS = 0.3
_PAUSE_S = 0.1
_CUSTOMERS = 2


class _Service:
    """One service on a port of its own: it works a little, asks those that it calls, and fails when one does."""

    def __init__(self, name: str, shop: Shop) -> None:
        self.name = name
        self.is_broken = False
        self._shop = shop
        self._client = httpx.Client(timeout=20)
        self._registry = CollectorRegistry()
        self._took = Histogram(
            "http_request_duration_seconds", "Time of a request.", buckets=(0.01, 0.1, 1.0), registry=self._registry
        )
        self._answered = Counter("http_requests_total", "Requests.", ["code"], registry=self._registry)
        # As the metrics generator of a tracing backend tells of calls.
        self._calls = Counter(
            "traces_service_graph_request_total", "Calls.", ["client", "server"], registry=self._registry
        )
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def work(self) -> int:
        """Answer one request; its status."""
        with self._took.time():
            time.sleep(_BROKEN_S if self.is_broken else random.uniform(0.5, 1.5) * _USUAL_S)
            status = 500 if self.is_broken and random.random() < _BROKEN_FAILS else 200
            for callee in CALLS[self.name]:
                self._calls.labels(self.name, callee).inc()
                status = max(status, self._client.get(f"http://{self._shop.address(callee)}/").status_code)
        self._answered.labels(str(status)).inc()
        return status

    def close(self) -> None:
        """Neither listen nor call any more."""
        self.server.shutdown()
        self.server.server_close()
        self._client.close()

    def metrics(self) -> bytes:
        return generate_latest(self._registry)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_scrape = self.path == "/metrics"
                body = service.metrics() if is_scrape else b"{}"
                self.send_response(200 if is_scrape else service.work())
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """The shop is quiet."""

        return Handler


class Shop:
    """The services and their customers, for the time of a `with` block."""

    def __init__(self) -> None:
        self._services = {name: _Service(name, self) for name in CALLS}
        self._over = threading.Event()
        self._customers = [threading.Thread(target=self._ask, daemon=True) for _ in range(_CUSTOMERS)]

    def __enter__(self) -> Self:
        for customer in self._customers:
            customer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for customer in self._customers:
            customer.join(20)
        for service in self._services.values():
            service.close()

    def address(self, name: str) -> str:
        """Where a service listens."""
        return self._services[name].address

    def break_(self, name: str) -> None:
        """From now on this service is slow, and fails often."""
        self._services[name].is_broken = True

    def _ask(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._over.wait(_PAUSE_S):
                with suppress(httpx.HTTPError):
                    client.get(f"http://{self.address('web')}/")
