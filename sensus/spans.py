"""How is a trace made?  OpenTelemetry's spans, with ids that follow from the request's id.

A row is the job, and it may be worked off long after the request, by whoever the sweep told. All that the row has to
keep for that is the id of the request: the trace and the span to go on from are computed from it.
"""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from sensus import __version__

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_PATH = "/v1/traces"
_PATIENCE_MS = 3_000
_MOST_OF_A_STATEMENT = 2_000
# The request whose span is being begun; its ids are not drawn, but follow.
_beginning: ContextVar[str | None] = ContextVar("beginning", default=None)


def trace_id_of(request_id: str) -> int:
    """The trace of a request: its own id where that can be one, as ours can; else a hash of it."""
    if _TRACE_ID.fullmatch(request_id) and (number := int(request_id, 16)):
        return number
    return int.from_bytes(_digest(request_id, "trace")[:16], "big")


def span_id_of(request_id: str) -> int:
    """The span of the request itself."""
    return int.from_bytes(_digest(request_id, "span")[:8], "big")


def _digest(request_id: str, what: str) -> bytes:
    return hashlib.sha256(f"{what} {request_id}".encode()).digest()


class _Ids(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        request_id = _beginning.get()
        return super().generate_trace_id() if request_id is None else trace_id_of(request_id)

    def generate_span_id(self) -> int:
        request_id = _beginning.get()
        return super().generate_span_id() if request_id is None else span_id_of(request_id)


class Running:
    """A span that is under way in this thread."""

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token

    def end(self, *, failed: str | None = None, **attributes: Any) -> None:
        """It is over; `failed` says what went wrong."""
        context.detach(self._token)
        self._span.set_attributes(attributes)
        if failed is not None:
            self._span.set_status(Status(StatusCode.ERROR, failed))
        self._span.end()


class Spans:
    """The spans of one process and the thread that tells them; what the collector does not take is dropped."""

    def __init__(self, endpoint: str, service: str) -> None:
        resource = Resource.create(
            {"service.name": service, "service.version": __version__, "host.name": socket.gethostname()}
        )
        # How many traces are kept says OTEL_TRACES_SAMPLER, as everywhere; the batch's limits have variables as well.
        self._provider = TracerProvider(resource=resource, id_generator=_Ids())
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _PATH)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sensus", __version__)

    def begin_request(
        self, name: str, request_id: str, traceparent: str | None, attributes: Mapping[str, Any]
    ) -> Running:
        """The root of a trace; the caller's own span is linked."""
        token = _beginning.set(request_id)
        try:
            span = self._tracer.start_span(
                name,
                context=Context(),
                kind=SpanKind.SERVER,
                attributes={**attributes, "sensus.request_id": request_id},
                links=_links(traceparent),
            )
        finally:
            _beginning.reset(token)
        return _running(span)

    def begin_task(self, name: str, attributes: Mapping[str, Any]) -> Running:
        """The root of a trace of its own: a message is only a knock, and tells of the work of many requests."""
        return _running(
            self._tracer.start_span(name, context=Context(), kind=SpanKind.CONSUMER, attributes=dict(attributes))
        )

    @contextmanager
    def work_for(self, request_id: str, name: str, attributes: Mapping[str, Any]) -> Iterator[None]:
        """A span under that of the request, linked with the message that is being worked off."""
        knock = trace.get_current_span().get_span_context()
        with self._tracer.start_as_current_span(
            name,
            context=set_span_in_context(NonRecordingSpan(self._of_request(request_id)), Context()),
            kind=SpanKind.CONSUMER,
            attributes={**attributes, "sensus.request_id": request_id},
            links=[Link(knock)] if knock.is_valid else [],
        ):
            yield

    @contextmanager
    def call(self, name: str, attributes: Mapping[str, Any], more: Mapping[str, Any]) -> Iterator[None]:
        """A span under the one that is under way; `more` is read at its end."""
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=dict(attributes)) as span:
            try:
                yield
            finally:
                span.set_attributes(dict(more))

    def note_statement(self, operation: str, statement: str, seconds: float) -> None:
        """A span that began before; nothing where nothing is under way, such as the looks of the health checks."""
        if not trace.get_current_span().is_recording():
            return
        ended = time.time_ns()
        span = self._tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            start_time=ended - int(seconds * 1e9),
            attributes={
                "db.system.name": "postgresql",
                "db.operation.name": operation,
                "db.query.text": " ".join(statement.split())[:_MOST_OF_A_STATEMENT],
            },
        )
        span.end(ended)

    def close(self) -> None:
        """Tell what is left."""
        self._provider.force_flush(_PATIENCE_MS)
        self._provider.shutdown()

    def _of_request(self, request_id: str) -> SpanContext:
        trace_id = trace_id_of(request_id)
        # As the request's own span was decided: samplers go by the id of the trace.
        is_kept = self._provider.sampler.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE
        return SpanContext(
            trace_id, span_id_of(request_id), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED * is_kept)
        )


def _running(span: Span) -> Running:
    return Running(span, context.attach(set_span_in_context(span, Context())))


def _links(traceparent: str | None) -> list[Link]:
    if traceparent is None:
        return []
    caller = trace.get_current_span(extract({"traceparent": traceparent}, Context())).get_span_context()
    return [Link(caller)] if caller.is_valid else []
