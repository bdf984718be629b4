"""Where does the time of a request go?  Its spans, and those of the work that it caused; nothing where nobody asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensus.spans import Running, Spans


@dataclass(frozen=True, slots=True)
class _Wanted:
    endpoint: str
    service: str


_wanted: _Wanted | None = None
_opened: dict[int, Spans] = {}


def configure(endpoint: str, service: str) -> None:
    """Tell spans to the OTLP collector at this address from now on; an empty one ends that.  No thread is started."""
    global _wanted  # noqa: PLW0603 (one process tells one collector)
    _wanted = _Wanted(endpoint, service) if endpoint else None


def begin_request(name: str, request_id: str, *, traceparent: str | None, **attributes: Any) -> Running | None:
    """The span of a request, under which all others of this thread stand until its `end`; None when nobody asked.

    `request_id` makes its ids, so that whoever has the id later can go on. `traceparent` is the caller's own span.
    """
    spans = _spans()
    return None if spans is None else spans.begin_request(name, request_id, traceparent, attributes)


def begin_task(name: str, **attributes: Any) -> Running | None:
    """The span of a message that a worker takes."""
    spans = _spans()
    return None if spans is None else spans.begin_task(name, attributes)


@contextmanager
def work_for(request_id: str | None, name: str, **attributes: Any) -> Iterator[None]:
    """Work that this request caused, at any time later and in any process: a span of its trace."""
    spans = _spans()
    if spans is None or request_id is None:
        yield
        return
    with spans.work_for(request_id, name, attributes):
        yield


@contextmanager
def call(name: str, **attributes: Any) -> Iterator[dict[str, Any]]:
    """A call to another server, within what is under way; the caller may add attributes to the dict."""
    more: dict[str, Any] = {}
    spans = _spans()
    if spans is None:
        yield more
        return
    with spans.call(name, attributes, more):
        yield more


def note_statement(operation: str, statement: str, seconds: float) -> None:
    """A statement that has just ended, after so many seconds; its text has places for values, and no values."""
    if _wanted is not None and (spans := _spans()) is not None:
        spans.note_statement(operation, statement, seconds)


def close() -> None:
    """Tell what this process has not told yet; wait a few seconds for it at most."""
    spans = _opened.pop(os.getpid(), None)
    if spans is not None:
        spans.close()


def _spans() -> Spans | None:
    if _wanted is None:
        return None
    # By process id and at the first use, hence after the fork: its thread would not be in the child.
    if (there := _opened.get(os.getpid())) is None:
        # The libraries take a tenth of a second and megabytes; without the setting nobody pays.
        from sensus.spans import Spans

        there = _opened[os.getpid()] = Spans(_wanted.endpoint, _wanted.service)
    return there
