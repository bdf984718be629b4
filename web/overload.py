"""Answers 503 at once to what waited too long for a thread: what is refused soon is sent again soon."""

from __future__ import annotations

from flask import Flask, request

from sensus import metrics, overload
from sensus.errors import Unavailable

# Who watches us must see that we are busy, not that we are gone.
_ALWAYS = ("/health", "/metrics")


def install(app: Flask) -> None:
    """Look at each request before anything is done for it."""
    app.before_request(_refuse_when_busy)


def _refuse_when_busy() -> None:
    if overload.is_refused() and not request.path.startswith(_ALWAYS):
        metrics.requests_refused.inc()
        raise Unavailable("too many requests at once; try again shortly")
