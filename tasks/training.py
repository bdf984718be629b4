"""Retrain and evaluate the model: long work in short portions, with its progress in a row."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite

from db import exclusive
from db.queries import audit, history, models, runs
from db.queries.runs import RunClaim
from ml import detectors
from ml.errors import NotEnoughHistory
from ml.evaluate import LEAST_SAMPLES, TimesAndValues
from ml.evaluate import evaluate as measured
from ml.training import TrainingSet
from sensus import logs, times
from tasks import signatures
from tasks.app import app
from tasks.base import SensusTask, may_pass
from tasks.in_force import InForce, as_version
from tasks.retraining import compare, learnt_from

log = logs.get_logger(__name__)

MOST_SERIES = 500
SAMPLES_OF_A_SERIES = 40_000
EVALUATED_SERIES = 12
EVALUATED_SAMPLES = 8_000
# One portion ends well before Celery's time limits; a run whose worker died waits for the end of the lease.
PORTION_S = 60.0
LEASE_S = 150.0
_SAVED_EVERY_S = 10.0
ACTOR = "system:training"

_in_force = InForce()
History = tuple[list[float], list[float]]


class ClaimLost(Exception):
    """Another worker has this run; nothing of ours is kept."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Window:
    """What history a run looks at."""

    since: datetime
    until: datetime
    seed: int


@app.task(base=SensusTask, bind=True)
def start_training(self: SensusTask) -> None:
    """Beat's nightly wish: train, unless a training is under way."""
    _start(self, "train")


@app.task(base=SensusTask, bind=True)
def start_evaluation(self: SensusTask) -> None:
    """Beat's wish every six hours: measure the version in force, unless that is under way."""
    _start(self, "evaluate")


@app.task(base=SensusTask, bind=True)
def train(self: SensusTask, *, run_id: str) -> None:
    """One portion of a training; the next message goes on where this one ends."""
    goes_on = False
    with _claimed(self, run_id, "train") as claim:
        if claim is None:
            return
        window = _window(self, claim)
        gathered = _gather(self, claim, window)
        if gathered is None:
            goes_on = True
        else:
            _conclude(self, claim, window, gathered)
    if goes_on:
        signatures.train(run_id=uuid.UUID(run_id))


@app.task(base=SensusTask, bind=True)
def evaluate(self: SensusTask, *, run_id: str) -> None:
    """Measure the version in force on recent history."""
    with _claimed(self, run_id, "evaluate") as claim:
        if claim is None:
            return
        window = _window(self, claim)
        loaded = _in_force.get(self.database)
        evaluation = measured(loaded.model, _evaluated_histories(self, window), window.seed)
        told = {**evaluation.to_dict(), "until": times.isoformat(window.until)}
        with self.transaction() as session:
            models.keep_evaluation(session, loaded.key.id, told)
            _held(runs.finish(session, claim, {"outcome": "evaluated", "version": loaded.model.version, **told}))
        log.info("model_evaluated", version=loaded.model.version, auroc=evaluation.auroc)


def _start(task: SensusTask, kind: runs.Kind) -> None:
    with task.transaction() as session:
        run_id, is_new = runs.start(session, kind, requested_by="system:beat", request_id=logs.bound_request_id())
    if is_new:
        knock = signatures.train if kind == "train" else signatures.evaluate
        knock(run_id=run_id)


@contextmanager
def _claimed(task: SensusTask, run_id: str, kind: runs.Kind) -> Iterator[RunClaim | None]:
    """The claim of this run for the block.

    None when somebody has it, or is at other long work: one process is kept free for what can't wait, and the sweep
    finds the run when that is done.
    """
    with exclusive.alone(task.database, exclusive.LONG_WORK) as is_alone:
        if not is_alone:
            log.info("run_waits", run_id=run_id, kind=kind)
            yield None
            return
        with task.transaction() as session:
            claim = runs.claim(session, uuid.UUID(run_id), kind, lease_s=LEASE_S, holder=task.holder)
        if claim is None:
            yield None
            return
        with _told(task, claim):
            yield claim


@contextmanager
def _told(task: SensusTask, claim: RunClaim) -> Iterator[None]:
    """What goes wrong in the block is written into the row of the run."""
    try:
        yield
    except ClaimLost:
        log.info("run_claim_lost", run_id=str(claim.id))
    except NotEnoughHistory as shortage:
        result = {"outcome": "not_enough_history", "samples": shortage.rows, "needed": shortage.needed}
        with task.transaction() as session:
            runs.finish(session, claim, {**result, "reason": str(shortage)})
        log.info("run_done", run_id=str(claim.id), kind=claim.kind, **result)
    except Exception as error:
        with task.transaction() as session:
            if may_pass(error):
                runs.let_go(session, claim)
            else:
                runs.fail(session, claim, f"{type(error).__name__}: see the log for request {_request()}")
        raise


def _gather(task: SensusTask, claim: RunClaim, window: Window) -> TrainingSet | None:
    """The feature rows of all chosen series; None when the rest is left for the next portion."""
    progress = {"stage": "gather", "done": 0, "of": 0, "after": "", **claim.progress}
    gathered = TrainingSet.from_bytes(claim.checkpoint) if claim.checkpoint else TrainingSet(window.seed)
    with task.transaction() as session:
        progress["of"] = min(history.count_series(session, since=window.since), MOST_SERIES)
    until = time.monotonic() + PORTION_S
    saved = time.monotonic()
    while True:
        with task.transaction() as session:
            most = min(10, MOST_SERIES - progress["done"])
            places = history.series_in_order(
                session, window.seed, since=window.since, after=progress["after"], limit=max(most, 0)
            )
        for place in places:
            seconds, values = _history(task, place.series_id, window, SAMPLES_OF_A_SERIES)
            learnt = _before_held_back(seconds)
            gathered.add(seconds[:learnt], values[:learnt])
            progress |= {"done": progress["done"] + 1, "after": place.key}
            if time.monotonic() > until:
                break
        ended = not places
        out_of_time = time.monotonic() > until
        if ended:
            progress["stage"] = "fit"
        if ended or out_of_time or time.monotonic() > saved + _SAVED_EVERY_S:
            saved = time.monotonic()
            with task.transaction() as session:
                lease_s = None if out_of_time and not ended else LEASE_S
                _held(runs.keep_progress(session, claim, progress, checkpoint=gathered.to_bytes(), lease_s=lease_s))
        if ended:
            return gathered
        if out_of_time:
            return None


def _conclude(task: SensusTask, claim: RunClaim, window: Window, gathered: TrainingSet) -> None:
    """Fit, compare with the version in force, store, and activate what is no worse."""
    candidate = gathered.fit(f"if-{claim.created_at:%Y%m%dT%H%M%SZ}")
    present = _in_force.get(task.database)
    comparison = compare(candidate, present.model, _evaluated_histories(task, window), window.seed)
    new = as_version(
        candidate,
        data_window={"since": times.isoformat(window.since), "until": times.isoformat(window.until)},
        evaluation={**comparison.candidate.to_dict(), "until": times.isoformat(window.until)},
    )
    result = {"version": candidate.version, "compared_with": present.model.version, **comparison.to_dict()}
    with task.transaction() as session:
        models.add(session, new)
        unchanged = models.in_force(session, detectors.DEFAULT) == present.key
        if unchanged and comparison.is_no_worse:
            outcome = "activated"
            models.activate(session, candidate.version)
            audit.record(
                session,
                action="model_activated",
                actor=ACTOR,
                subject=f"model:{candidate.version}",
                facts={"version": candidate.version, "before": present.model.version},
                request_id=_request(),
            )
        else:
            outcome = "kept_former" if unchanged else "another_was_activated"
        _held(runs.finish(session, claim, {"outcome": outcome, **result}))
    log.info("model_trained", version=candidate.version, outcome=outcome, verdict=comparison.told)


def _evaluated_histories(task: SensusTask, window: Window) -> list[TimesAndValues]:
    """Recent histories of a few series that are long enough, the same ones for the same seed."""
    found: list[TimesAndValues] = []
    with task.transaction() as session:
        places = history.series_in_order(session, window.seed, since=window.since, limit=5 * EVALUATED_SERIES)
    for place in places:
        seconds, values = _history(task, place.series_id, window, EVALUATED_SAMPLES)
        if len(seconds) >= LEAST_SAMPLES:
            found.append((seconds, values))
        if len(found) == EVALUATED_SERIES:
            break
    return found


def _history(task: SensusTask, series_id: int, window: Window, limit: int) -> History:
    with task.transaction() as session:
        rows = history.newest_samples(session, series_id, since=window.since, until=window.until, limit=limit)
    usable = [(times.to_epoch(at), value) for at, value in rows if isfinite(value)]
    return [second for second, _ in usable], [value for _, value in usable]


def _before_held_back(seconds: list[float]) -> int:
    """How many samples of a series may be learnt from: none of those that measure the outcome."""
    measured_on = seconds[-EVALUATED_SAMPLES:]
    return len(seconds) - len(measured_on) + learnt_from(measured_on)


def _window(task: SensusTask, claim: RunClaim) -> Window:
    days = task.settings.training_days
    return Window(claim.created_at - timedelta(days=days), claim.created_at, seed=claim.created_at.toordinal())


def _held(done: bool) -> None:
    if not done:
        raise ClaimLost


def _request() -> str:
    return logs.bound_request_id() or logs.new_request_id()
