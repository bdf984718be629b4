"""A collector for tests: takes traces by OTLP over HTTP, and remembers their spans."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Told:
    """One span as it was told."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]  # ids of spans
    attributes: dict[str, Any]
    failed: bool
    began_ns: int
    ended_ns: int


class Collector:
    """A receiver on a free port for the time of a `with` block; `spans` are those told, in their order."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        told = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                told.extend(_spans(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def of(self, trace: str) -> list[Told]:
        """The spans of a trace."""
        return [span for span in list(self.spans) if span.trace == trace]


def _spans(body: bytes) -> list[Told]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {
                    one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes
                }
                found.append(
                    Told(
                        service,
                        span.name,
                        span.kind,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        tuple(link.span_id.hex() for link in span.links),
                        attributes,
                        span.status.code == 2,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )
                )
    return found
