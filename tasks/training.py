"""Retrain the models: long work in short portions, with its progress in a row; what is no worse may challenge."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.queries import audit, detector_choices, history, models, runs, standings
from db.queries.runs import RunClaim
from ml.drift import Distribution
from ml.evaluate import TimesAndValues, held_back_from
from ml.training import TrainingSet
from sensus import logs, times
from tasks import histories, signatures
from tasks.app import app
from tasks.base import SensusTask
from tasks.in_force import InForce, Loaded, as_version
from tasks.long_work import LEASE_S, Window, claimed, held, request_id, start, window_of
from tasks.retraining import Comparison, compare

log = logs.get_logger(__name__)

MOST_SERIES = 500
# Of a series at least so many, where there are; where samples come fast, fewer series fill what is learnt from in all.
SAMPLES_OF_A_SERIES, SAMPLES_IN_ALL = 40_000, 20_000_000
# One portion ends well before Celery's time limits.
PORTION_S = 60.0
_SAVED_EVERY_S = 10.0
ACTOR = "system:training"

_in_force = InForce()


@app.task(base=SensusTask, bind=True)
def start_training(self: SensusTask) -> None:
    """Beat's nightly wish: train, unless a training is under way."""
    start(self, "train", signatures.train)


@app.task(base=SensusTask, bind=True)
def train(self: SensusTask, *, run_id: str) -> None:
    """One portion of a training; the next message goes on where this one ends."""
    goes_on = False
    with claimed(self, run_id, "train") as claim:
        if claim is None:
            return
        window = window_of(self, claim)
        gathered = _gather(self, claim, window)
        if gathered is None:
            goes_on = True
        else:
            _conclude(self, claim, window, gathered)
    if goes_on:
        signatures.train(run_id=uuid.UUID(run_id))


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
            most = min(10, MOST_SERIES - progress["done"]) if gathered.samples < SAMPLES_IN_ALL else 0
            places = history.series_in_order(
                session, window.seed, since=window.since, after=progress["after"], limit=max(most, 0)
            )
        for place in places:
            seconds, values = histories.of_series(
                task, place.series_id, window.since, window.until, at_least=SAMPLES_OF_A_SERIES
            )
            learnt = held_back_from(seconds)
            gathered.add(seconds[:learnt], values[:learnt])
            progress |= {"done": progress["done"] + 1, "after": place.key}
            if time.monotonic() > until or gathered.samples >= SAMPLES_IN_ALL:
                break
        ended = not places
        out_of_time = time.monotonic() > until
        if ended:
            progress["stage"] = "fit"
        if ended or out_of_time or time.monotonic() > saved + _SAVED_EVERY_S:
            saved = time.monotonic()
            with task.transaction() as session:
                lease_s = None if out_of_time and not ended else LEASE_S
                held(runs.keep_progress(session, claim, progress, checkpoint=gathered.to_bytes(), lease_s=lease_s))
        if ended:
            return gathered
        if out_of_time:
            return None


def _conclude(task: SensusTask, claim: RunClaim, window: Window, gathered: TrainingSet) -> None:
    """Of each detector in use a version: fitted, compared with the champion, stored, and a challenger if no worse."""
    with task.transaction() as session:
        in_use = sorted(detector_choices.in_use(session) - {task.settings.detector})
    measured_on = histories.evaluated(task, window)
    made = [
        _fit(task, claim, window, gathered, algorithm, measured_on) for algorithm in (task.settings.detector, *in_use)
    ]
    with task.transaction() as session:
        results = [_keep(session, one) for one in made]
        held(runs.finish(session, claim, {**results[0], "others": results[1:]}))
    for result in results:
        log.info("model_trained", version=result["version"], outcome=result["outcome"], verdict=result["verdict"])


@dataclass(frozen=True, slots=True)
class _Made:
    """A fitted version beside the champion that it was compared with."""

    new: models.NewVersion
    champion: Loaded
    comparison: Comparison


def _fit(
    task: SensusTask,
    claim: RunClaim,
    window: Window,
    gathered: TrainingSet,
    algorithm: str,
    measured_on: Sequence[TimesAndValues],
) -> _Made:
    candidate = gathered.fit(f"{_initials(algorithm)}-{claim.created_at:%Y%m%dT%H%M%SZ}", algorithm)
    champion = _in_force.get(task.database, algorithm)
    comparison = compare(candidate, champion.model, measured_on, window.seed)
    until = times.isoformat(window.until)
    new = as_version(
        candidate,
        data_window={
            "since": times.isoformat(window.since),
            "until": until,
            "distribution": Distribution.of(gathered.table()).to_dict(),
        },
        evaluation={
            **comparison.candidate.to_dict(),
            "until": until,
            "compared": {
                "with": champion.model.version,
                "present": comparison.present.to_dict(),
                "verdict": comparison.told,
            },
        },
    )
    return _Made(new, champion, comparison)


def _keep(session: Session, made: _Made) -> dict[str, Any]:
    """Store a version; what came of it, for the result of the run."""
    version, champion = made.new.version, made.champion
    models.add(session, made.new)
    if not made.comparison.is_no_worse:
        outcome = "kept_former"
    elif models.in_force(session, made.new.algorithm) != champion.key:
        outcome = "another_was_activated"
    else:
        outcome = "challenges"
        standings.challenge(session, version)
        audit.record(
            session,
            action="model_challenges",
            actor=ACTOR,
            subject=f"model:{version}",
            facts={"version": version, "champion": champion.model.version},
            request_id=request_id(),
        )
    return {
        "outcome": outcome,
        "version": version,
        "compared_with": champion.model.version,
        **made.comparison.to_dict(),
    }


def _initials(algorithm: str) -> str:
    """`if` for isolation_forest: what the name of a version begins with."""
    return "".join(word[0] for word in algorithm.split("_"))
