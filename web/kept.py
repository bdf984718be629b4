"""Answers that several callers share for a few seconds, so that asking often costs no more than asking once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

KEPT_S = 5.0
_FAILURE_KEPT_S = 1.0


def kept(ask: Callable[[], T]) -> Callable[[], T]:
    """`ask`, whose answer or failure is good for a few seconds."""
    lock = threading.Lock()
    kept: list[tuple[float, T | Exception]] = []

    def answer() -> T:
        with lock:
            known = kept[0] if kept and kept[0][0] > time.monotonic() else None
        if known is None:
            outcome: T | Exception
            try:
                outcome = ask()
            except Exception as error:
                outcome = error
            known = (time.monotonic() + (_FAILURE_KEPT_S if isinstance(outcome, Exception) else KEPT_S), outcome)
            with lock:
                kept[:] = [known]
        if isinstance(known[1], Exception):
            raise known[1]
        return known[1]

    return answer
