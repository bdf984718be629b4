"""Is this process too busy for the request at hand?  Its server says so of a thread, and the API asks in it."""

from __future__ import annotations

import threading

# How long a request may wait for a thread before it is refused; a sender does better to come again.
PATIENCE_S = 3.0

_thread = threading.local()


def note(*, refuse: bool) -> None:
    """Say whether what this thread serves next is to be refused."""
    _thread.refuse = refuse


def is_refused() -> bool:
    """Whether the request that this thread serves is to be refused."""
    return bool(getattr(_thread, "refuse", False))
