"""What a request leaves to be done after its answer: notes of samples, audit entries to Redis, knocks to workers."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal, Protocol

import redis

from db import outbox
from db.queries import arrivals
from db.session import Database
from sensus import audit, logs, metrics, queues

log = logs.get_logger(__name__)

TURN_S = 0.25
REST_AFTER_FAILURE_S = 1.0
PAUSE_PER_WORK = 9.0
# An analysis is one message, so that they are shared out; more than these a turn would only crowd the queue.
ANALYSES_A_TURN = 5
# What waits beyond this is found by the sweep; without an end, an outage of Redis would fill the memory.
MOST_WAITING = 5_000

Kind = Literal["train", "evaluate"]


class Knocks(Protocol):
    """`tasks.signatures`: each call sends its messages, and raises when the broker is away."""

    def score_series(self, *, series_ids: Sequence[int]) -> None: ...
    def analyse(self, *, analysis_ids: Sequence[int]) -> None: ...
    def group(self) -> None: ...
    def train(self, *, run_id: uuid.UUID) -> None: ...
    def evaluate(self, *, run_id: uuid.UUID) -> None: ...


class Background:
    """One daemon thread per process, started at the first call, hence after the fork.

    All calls return at once and never raise.  Whatever fails is counted, and made up by the sweep:
    the rows are the truth.
    """

    def __init__(self, database: Database, client: redis.Redis, knocks: Callable[[], Knocks]) -> None:
        self._database = database
        self._redis = client
        self._append = partial(audit.append_batch, client)
        self._knocks = knocks
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._closing = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._arrivals_wanted = False
        self._analyses: deque[int] = deque(maxlen=MOST_WAITING)
        self._runs: deque[tuple[Kind, uuid.UUID]] = deque(maxlen=MOST_WAITING)
        self._relay_wanted = False
        self._alerts_came = False
        self._outages: set[str] = set()

    def note_arrivals(self) -> None:
        """Note what came in, in the progress of its series, and tell the scorers."""
        with self._lock:
            self._arrivals_wanted = True
            self._rouse()

    def knock_alerts(self) -> None:
        """Tell the workers that alerts have changed: they have their evidence shown, and join incidents."""
        with self._lock:
            self._alerts_came = True
            self._rouse()

    def knock_analyses(self, ids: Iterable[int]) -> None:
        """Tell the analysts that these analyses wait."""
        with self._lock:
            self._analyses.extend(ids)
            self._rouse()

    def knock_run(self, kind: Kind, run_id: uuid.UUID) -> None:
        """Tell the maintenance worker that this training or evaluation waits."""
        with self._lock:
            self._runs.append((kind, run_id))
            self._rouse()

    def relay(self) -> None:
        """Move what waits in the audit outbox to the streams."""
        with self._lock:
            self._relay_wanted = True
            self._rouse()

    def settle(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was asked for has been tried; whether that came to pass."""
        return self._idle.wait(timeout_s)

    def close(self) -> None:
        """Try what waits once more, and end the thread."""
        with self._lock:
            self._closing = True
            self._ending.set()
            thread = self._thread
            self._wake.set()
        if thread is not None:
            thread.join(2.0)

    def _rouse(self) -> None:
        if self._closing:
            return
        self._idle.clear()
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="background", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            closing = self._closing
            began = time.monotonic()
            well = self._turn()
            with self._lock:
                if not self._has_work():
                    self._wake.clear()
                    self._idle.set()
                    if self._closing:
                        return
            if closing:
                return
            # Whatever comes meanwhile goes out together, in the next turn. The busier it is the longer the
            # pause: this thread shares the processor with those that answer.
            pause_s = max(TURN_S, PAUSE_PER_WORK * (time.monotonic() - began))
            self._ending.wait(min(pause_s, REST_AFTER_FAILURE_S) if well else REST_AFTER_FAILURE_S)

    def _has_work(self) -> bool:
        return bool(self._arrivals_wanted or self._alerts_came or self._relay_wanted or self._analyses or self._runs)

    def _turn(self) -> bool:
        with self._lock:
            analyses = [self._analyses.popleft() for _ in range(min(ANALYSES_A_TURN, len(self._analyses)))]
            runs, self._runs = list(self._runs), deque(maxlen=MOST_WAITING)
            relay, self._relay_wanted = self._relay_wanted, False
            arrived, self._arrivals_wanted = self._arrivals_wanted, False
            alerts_came, self._alerts_came = self._alerts_came, False
        well = True
        if relay:
            well &= self._try("audit", lambda: outbox.relay(self._database, self._append))
            with self._lock:
                # An entry stays in the outbox until it is in Redis, so this one is worth another try.
                self._relay_wanted |= not well
        if arrived:
            noted = self._try("arrivals", self._note)
            with self._lock:
                self._arrivals_wanted |= not noted
            well &= noted
        if alerts_came:
            well &= self._send("group", "maintenance", lambda _: self._knocks().group())
        if analyses:
            well &= self._send("analyse", "llm", lambda _: self._knocks().analyse(analysis_ids=analyses))
        for kind, run_id in runs:
            well &= self._send(kind, "maintenance", partial(self._knock_run, kind, run_id))
        return well

    def _note(self) -> None:
        series_ids, until = set[int](), time.monotonic() + TURN_S
        requests = arrivals.PORTION
        while requests == arrivals.PORTION and time.monotonic() < until:
            with self._database.direct() as connection:
                connection.begin()
                noted = arrivals.note(connection)
            metrics.samples_late.inc(noted.late)
            series_ids.update(noted.series_ids)
            requests = noted.requests
        if requests == arrivals.PORTION:
            with self._lock:
                self._arrivals_wanted = True
        if series_ids:
            self._send("score_series", "anomaly", partial(self._knock_scorers, series_ids))

    def _knock_scorers(self, series_ids: set[int], queued: int) -> None:
        # Without ids it means all, which is less to say; and so the last of many knocks stands for those not made.
        is_all = len(series_ids) >= MOST_WAITING or queued >= queues.ENOUGH // 2
        self._knocks().score_series(series_ids=[] if is_all else sorted(series_ids))

    def _knock_run(self, kind: Kind, run_id: uuid.UUID, _: int) -> None:
        knocks = self._knocks()
        (knocks.train if kind == "train" else knocks.evaluate)(run_id=run_id)

    def _send(self, task: str, queue: str, send: Callable[[int], object]) -> bool:
        """Send to a queue, given how many wait there; to one that has enough nothing, for the sweep finds the row."""

        def unless_enough() -> None:
            if (queued := queues.length(self._redis, queue)) < queues.ENOUGH:
                send(queued)

        sent = self._try(task, unless_enough)
        if not sent:
            metrics.messages_lost.labels(task).inc()
        return sent

    def _try(self, what: str, work: Callable[[], object]) -> bool:
        try:
            work()
        except Exception as error:
            # Redis, the broker's library and the database each have exceptions of their own, and
            # none of them may end this thread.
            if what not in self._outages:
                self._outages.add(what)
                log.warning("message_not_sent", what=what, kind=type(error).__name__)
            return False
        if what in self._outages:
            self._outages.discard(what)
            log.info("messages_sent_again", what=what)
        return True
