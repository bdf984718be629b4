"""Is it worth asking a model now, or did it or its server lately show that it's away?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Closed: everyone may ask. Open: nobody. Half open: one may try, and that decides.

    It opens after `threshold` failures in a row, or after one that is decisive, for `open_s` seconds; each opening that
    follows a failed trial lasts twice as long as the one before, at most `longest_s`. Safe to share between threads.
    """

    def __init__(
        self,
        *,
        threshold: int = 2,
        open_s: float = 15.0,
        longest_s: float = 240.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._shortest_s = open_s
        self._longest_s = longest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_s = open_s
        self._open_until: float | None = None
        self._trial_until: float | None = None

    @property
    def state(self) -> State:
        """Where it stands now."""
        with self._lock:
            return self._state()

    def may_ask(self) -> bool:
        """Whether the caller may ask; half open, the first to ask this gets the trial and must report how it went."""
        with self._lock:
            state = self._state()
            if state == "half_open":
                # A trial whose caller died would keep everyone else out, so it ends by itself.
                self._trial_until = self._clock() + self._longest_s
            return state != "open"

    def succeeded(self) -> None:
        """The server answered."""
        with self._lock:
            self._failures = 0
            self._open_s = self._shortest_s
            self._open_until = self._trial_until = None

    def failed(self, *, decisive: bool = False) -> None:
        """The server didn't answer; `decisive` when it is certain that the next caller would fare no better."""
        with self._lock:
            if self._open_until is not None and self._trial_until is not None:
                self._open_s = min(2 * self._open_s, self._longest_s)
            self._failures += 1
            self._trial_until = None
            if decisive or self._failures >= self._threshold:
                self._open_until = self._clock() + self._open_s

    def _state(self) -> State:
        now = self._clock()
        if self._open_until is None:
            return "closed"
        if now < self._open_until or (self._trial_until is not None and now < self._trial_until):
            return "open"
        return "half_open"


class Breakers:
    """One for a server, and one for each of its models: a dead server has none that answers, a dead model is alone."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, open_s: float = 15.0) -> None:
        self._clock = clock
        self._open_s = open_s
        self._models: dict[str, Breaker] = {}
        self._lock = threading.Lock()
        self.server = Breaker(clock=clock, open_s=open_s)

    def of(self, model: str) -> Breaker:
        """The one of this model."""
        with self._lock:
            if model not in self._models:
                self._models[model] = Breaker(clock=self._clock, open_s=self._open_s)
            return self._models[model]
