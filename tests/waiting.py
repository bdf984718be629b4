"""Waiting for something to come true, in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, *, timeout_s: float = 30.0, every_s: float = 0.05) -> T:
    """The first true value of the condition.  Raises AssertionError when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for this: {what}")
        time.sleep(every_s)
    return found
