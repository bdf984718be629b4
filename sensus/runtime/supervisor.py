"""What keeps the stack running?  Starts processes in order, restarts what dies, stops all in reverse."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from sensus.errors import SensusError
from sensus.runtime.backoff import Backoff
from sensus.runtime.children import Child
from sensus.runtime.guardian import Guardian
from sensus.runtime.kin import MARKER
from sensus.runtime.output import Console
from sensus.runtime.processes import ProcessSpec

# What `docker stop` and most service managers wait at least for.
STOP_BUDGET_S = 14.0
_KEPT_FOR_EACH_STAGE_S = 2.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PROBE_EVERY_S = 0.1


class StopRequested(BaseException):
    """Somebody asked to stop while the stack was being started; ends the supervisor's `with` block quietly."""


class ProcessFailed(SensusError):
    """A process of the stack did not start; the message has its last words."""


class Supervisor:
    """Owns processes for the time of a `with` block; none of them outlives it.

    `start` takes one stage of the stack: its processes start at once and are waited for in order. Stages
    stop in reverse. SIGINT, SIGTERM and SIGHUP ask to stop; a second one stops everything at once. `run` marks
    all that is started; no other supervisor that lives may use the same.
    """

    def __init__(self, console: Console, run: str) -> None:
        self.console = console
        self._run = run
        self._stages: list[list[ProcessSpec]] = []
        self._children: dict[str, Child] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._restarts: dict[str, float] = {}  # name to the moment of its next start
        # SimpleQueue, because a signal handler may put into it while the main thread is inside get().
        self._events: queue.SimpleQueue[Child | Guardian | None] = queue.SimpleQueue()
        self._signals = 0
        self._signals_at_stop = 0
        self._may_raise = True
        self._handlers: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        self._guardian = self._new_guardian()
        for number in _STOP_SIGNALS:
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._may_raise = False
        self._stop()
        self._guardian.close()
        self.say("stopped")
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.console.flush()
        return isinstance(error, StopRequested)

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now."""
        return {name: child.pid for name, child in self._children.items() if child.status is None}

    def say(self, text: str) -> None:
        self.console.line("sensus", text, "1")

    def start(self, specs: Sequence[ProcessSpec]) -> None:
        """Start a stage and return when all of it is ready.

        Raises ProcessFailed when one dies or is not ready in time; what runs is stopped at the end of the `with`.
        """
        self.console.widen(max((len(spec.name) for spec in specs), default=0))
        stage: list[ProcessSpec] = []
        self._stages.append(stage)
        for spec in specs:
            stage.append(spec)
            self._spawn(spec)
        for spec in specs:
            self._await_ready(spec)

    def run(self) -> None:
        """Keep everything running until somebody asks to stop."""
        self._may_raise = False
        while not self._signals:
            next_start = min(self._restarts.values(), default=None)
            timeout = None if next_start is None else max(0.0, next_start - time.monotonic())
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                self._restart_due()
                continue
            if isinstance(event, Child):
                self._schedule(event)
            elif isinstance(event, Guardian):
                self._replace_guardian()
        self.say("stopping")

    def _spawn(self, spec: ProcessSpec) -> None:
        # Were the stop raised between the start of a process and its entry here, nobody would know of it.
        with self._stop_deferred():
            if spec.prepare is not None:
                spec.prepare()
            child = Child(spec, {MARKER: self._run}, lambda line: self._show(spec, line), self._events.put)
            self._children[spec.name] = child
            self._guardian.add(child.pid, spec.stop_signal)

    def _show(self, spec: ProcessSpec, line: str) -> None:
        if spec.hidden is None or not spec.hidden.search(line):
            self.console.line(spec.name, line, spec.colour)

    def _await_ready(self, spec: ProcessSpec) -> None:
        started_at = self._children[spec.name].started_at
        tell_at = time.monotonic() + spec.told_every_s
        while not spec.ready():
            self._fail_if_any_died()
            now = time.monotonic()
            if now > started_at + spec.ready_timeout_s:
                raise ProcessFailed(
                    f"{spec.name} was not ready in {spec.ready_timeout_s:.0f} s, though it runs; "
                    "on a slow machine start it again: what is there is kept"
                )
            if now > tell_at:
                tell_at = now + spec.told_every_s
                self.say(f"still waiting for {spec.name}, which has run for {now - started_at:.0f} s")
            try:
                event = self._events.get(timeout=_PROBE_EVERY_S)
            except queue.Empty:
                continue
            if isinstance(event, Guardian):
                self._replace_guardian()
        # A probe may have been answered by another server, on whose port ours could not listen.
        self._fail_if_any_died()

    def _fail_if_any_died(self) -> None:
        for child in self._children.values():
            if child.exited.is_set():
                raise ProcessFailed(f"{child.spec.name} {child.how_it_ended()}: {child.last_words()}")

    def _schedule(self, child: Child) -> None:
        name = child.spec.name
        if self._children.get(name) is not child:
            return
        self._guardian.remove(child.pid)
        backoff = self._backoffs.get(name, Backoff()).after_running(time.monotonic() - child.started_at)
        self._backoffs[name] = backoff
        self._restarts[name] = time.monotonic() + backoff.delay_s
        self.say(f"{name} {child.how_it_ended()}; starting it again in {backoff.delay_s:g} s")

    def _restart_due(self) -> None:
        now = time.monotonic()
        for spec in [spec for stage in self._stages for spec in stage]:
            if self._restarts.get(spec.name, now + 1) > now or self._signals:
                continue
            try:
                self._spawn(spec)
                del self._restarts[spec.name]
            except (SensusError, OSError) as error:
                backoff = self._backoffs[spec.name] = self._backoffs[spec.name].after_running(0)
                self._restarts[spec.name] = time.monotonic() + backoff.delay_s
                self.say(f"{spec.name} can't be started ({error}); trying again in {backoff.delay_s:g} s")

    def _stop(self) -> None:
        self._signals_at_stop = self._signals
        deadline = time.monotonic() + STOP_BUDGET_S
        while self._stages:
            stage = self._stages.pop()
            children = [self._children[spec.name] for spec in reversed(stage) if spec.name in self._children]
            # The databases stop last and must have their time, however slow the others were.
            latest = deadline - _KEPT_FOR_EACH_STAGE_S * len(self._stages)
            signalled_at = time.monotonic()
            for child in children:
                child.signal(child.spec.stop_signal)
            for child in sorted(children, key=lambda child: child.spec.stop_timeout_s):
                self._await_exit(child, min(latest, signalled_at + child.spec.stop_timeout_s))
                child.kill()
            for child in children:
                child.exited.wait(1.0)
                self._guardian.remove(child.pid)

    def _await_exit(self, child: Child, deadline: float) -> None:
        while not child.exited.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._signals > self._signals_at_stop:
                return  # Asked a second time: no more waiting. What is committed survives a SIGKILL.
            try:
                self._events.get(timeout=left)  # a death or a signal; the loop looks which
            except queue.Empty:
                return

    def _replace_guardian(self) -> None:
        self._guardian = self._new_guardian()
        for child in self._children.values():
            if child.status is None:
                self._guardian.add(child.pid, child.spec.stop_signal)

    def _new_guardian(self) -> Guardian:
        return Guardian(self._run, lambda: self._events.put(self._guardian))

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._events.put(None)
        if self._may_raise:
            self._may_raise = False
            raise StopRequested

    @contextmanager
    def _stop_deferred(self) -> Iterator[None]:
        might_raise, self._may_raise = self._may_raise, False
        yield
        self._may_raise = might_raise
        if might_raise and self._signals:
            self._may_raise = False
            raise StopRequested


def terminal_console() -> Console:
    """The console of this process's standard output; in colour on a terminal, unless NO_COLOR is set."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.flush()
    return Console(sys.stdout.fileno(), colour=colour)
