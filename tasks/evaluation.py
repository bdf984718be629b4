"""How do the models fare?  Every six hours the champions are measured, and the challengers decided upon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion
from db.queries import audit, detector_choices, history, live_scores, models, runs, standings
from db.queries.live_scores import Rated
from db.queries.standings import Challenger
from ml import drift
from ml.artifact import Model
from ml.detectors.base import FloatArray
from ml.errors import ArtifactRejected
from ml.evaluate import Evaluation, TimesAndValues
from ml.evaluate import evaluate as measured
from ml.threshold import DEFAULT_POLICY
from ml.verdicts import Agreement, Judged, agreement
from sensus import logs, times
from tasks import histories, signatures
from tasks.app import app
from tasks.base import SensusTask
from tasks.in_force import InForce, Loaded, load_version
from tasks.long_work import Window, claimed, held, request_id, start, window_of
from tasks.promotion import Decision, Feedback, Shadow, decide
from tasks.retraining import Comparison

log = logs.get_logger(__name__)

ACTOR = "system:evaluation"
# Live figures are of the time since the evaluation before.
LIVE = timedelta(hours=6)
LIVE_SERIES = 300
_SERIES_A_LOOK = 25
# What both versions said is compared over samples of so long, and of few series a statement: it must end in seconds.
SHADOW = timedelta(hours=12)
# Drift is that of the last day.
RECENT_S = 86_400.0
WEEK_S = 604_800.0

_in_force = InForce()


@dataclass(frozen=True, slots=True)
class _Data:
    """What all models of a run are measured on."""

    window: Window
    held_back: Sequence[TimesAndValues]
    judged: Sequence[Judged]
    recent: FloatArray  # figures of the last day of many series
    rated: Rated


@app.task(base=SensusTask, bind=True)
def start_evaluation(self: SensusTask) -> None:
    """Beat's wish every six hours: measure the versions that score, unless that is under way."""
    start(self, "evaluate", signatures.evaluate)


@app.task(base=SensusTask, bind=True)
def evaluate(self: SensusTask, *, run_id: str) -> None:
    """Measure the versions in force on recent history, on what people said and live; decide on their challengers."""
    with claimed(self, run_id, "evaluate") as claim:
        if claim is None:
            return
        data = _data(self, window_of(self, claim))
        with self.transaction() as session:
            in_use = sorted(detector_choices.in_use(session) - {self.settings.detector})
            challengers = {one.key.algorithm: one for one in standings.challengers(session)}
        results = [
            _evaluate(self, _in_force.get(self.database, algorithm), challengers.get(algorithm), data)
            for algorithm in (self.settings.detector, *in_use)
        ]
        with self.transaction() as session:
            held(runs.finish(session, claim, {**results[0], "others": results[1:]}))


def _data(task: SensusTask, window: Window) -> _Data:
    return _Data(
        window=window,
        held_back=histories.evaluated(task, window),
        judged=histories.judged(task, window),
        recent=drift.recent_figures(histories.recent(task, window), since=times.to_epoch(window.until) - RECENT_S),
        rated=_rated(task, window),
    )


def _rated(task: SensusTask, window: Window) -> Rated:
    """How the samples of many series were rated since the evaluation before."""
    since = window.until - LIVE
    with task.transaction() as session:
        places = history.series_in_order(session, window.seed, since=since, limit=LIVE_SERIES)
    counts, alarms, series, seconds = np.zeros(live_scores.BINS, dtype=np.int64), 0, 0, 0.0
    for first in range(0, len(places), _SERIES_A_LOOK):
        ids = [place.series_id for place in places[first : first + _SERIES_A_LOOK]]
        with task.transaction() as session:
            part = live_scores.rated(session, ids, since=since, threshold=DEFAULT_POLICY.threshold)
        counts += np.array(part.counts)
        alarms, series, seconds = alarms + part.alarms, series + part.series, seconds + part.seconds
    return Rated(tuple(counts.tolist()), alarms, series, seconds)


def _evaluate(task: SensusTask, champion: Loaded, challenger: Challenger | None, data: _Data) -> dict[str, Any]:
    """Measure a champion and decide on its challenger; what came of it, for the result of the run."""
    found = measured(champion.model, data.held_back, data.window.seed)
    said = agreement(champion.model, data.judged)
    until = times.isoformat(data.window.until)
    told = {**found.to_dict(), **_of_feedback(said), **dict(_of_live(data.rated)), "until": until}
    with task.transaction() as session:
        moved = _drift(session, champion, data)
        models.keep_evaluation(session, champion.key.id, told)
        models.keep_drift(session, champion.key.id, moved)
    log.info("model_evaluated", version=champion.model.version, auroc=found.auroc, drift=moved.get("largest"))
    result = {"outcome": "evaluated", "version": champion.model.version, **told, "drift": moved.get("largest")}
    if challenger is not None:
        result["challenger"] = _judge(task, champion, challenger, found, said, data)
    return result


def _of_feedback(said: Agreement) -> dict[str, Any]:
    """Of the anomalies that people judged, how many were real, and how many the model would page for again."""
    judged = said.real + said.false
    return {
        "feedback": said.to_dict(),
        "feedback_judged": judged,
        **({"feedback_precision": said.real / judged} if judged else {}),
    }


def _of_live(rated: Rated) -> Iterator[tuple[str, float | list[int]]]:
    """How often live samples paged, and how their scores are spread."""
    samples = sum(rated.counts)
    yield "live_samples", samples
    yield "live_series", rated.series
    if rated.seconds > 0.0:
        yield "anomalies_per_series_week", rated.alarms / rated.seconds * WEEK_S
    if samples:
        yield "score_counts", list(rated.counts)
        edges = np.linspace(0.0, 1.0, live_scores.BINS + 1)
        reached = np.concatenate([[0.0], np.cumsum(rated.counts) / samples])
        for name, share in (("score_median", 0.5), ("score_p90", 0.9), ("score_p99", 0.99)):
            yield name, float(np.interp(share, reached, edges))


def _drift(session: Session, champion: Loaded, data: _Data) -> dict[str, Any]:
    """How far the figures of the last day are from those that the champion was trained on; empty when unknown."""
    trained_on = session.get_one(ModelVersion, champion.key.id).data_window.get("distribution")
    if trained_on is None or not len(data.recent):
        return {}
    try:
        indexes = drift.Distribution.from_dict(trained_on).psi(data.recent)
    except ArtifactRejected:
        return {}  # of another release, whose features were others
    feature = max(indexes, key=lambda name: indexes[name])
    return {
        "psi": indexes,
        "largest": indexes[feature],
        "feature": feature,
        "samples": len(data.recent),
        "until": times.isoformat(data.window.until),
    }


def _judge(
    task: SensusTask, champion: Loaded, challenger: Challenger, found: Evaluation, said: Agreement, data: _Data
) -> dict[str, Any]:
    """Decide on a challenger, and do it; what came of it."""
    version = challenger.key.version
    try:
        with task.transaction() as session:
            model = load_version(session, challenger.key)
    except ArtifactRejected as refusal:
        log.error("challenger_refused", version=version, reason=str(refusal))
        with task.transaction() as session:
            standings.retire(session, challenger.key)
        return {"outcome": "refused", "version": version, "reasons": [str(refusal)]}
    decision = decide(
        Comparison(candidate=measured(model, data.held_back, data.window.seed), present=found),
        Feedback(challenger=agreement(model, data.judged), champion=said),
        _shadow(task, champion, challenger),
    )
    with task.transaction() as session:
        outcome = _done(session, champion, challenger, model, decision)
        told = {**decision.to_dict(), "outcome": outcome, "champion": champion.model.version}
        figures = {**decision.faults.candidate.to_dict(), "until": times.isoformat(data.window.until)}
        models.keep_evaluation(session, challenger.key.id, {**figures, "decision": told})
    log.info("challenger_decided", version=version, outcome=outcome, reasons=decision.reasons)
    return {"outcome": outcome, "version": version, "reasons": list(decision.reasons)}


def _shadow(task: SensusTask, champion: Loaded, challenger: Challenger) -> Shadow:
    """What both said of the same live samples."""
    now = times.now()
    with task.transaction() as session:
        series_ids = live_scores.shadowed(session, challenger.key, champion.key)
    samples, challenger_alarms, champion_alarms = 0, 0, 0
    for first in range(0, len(series_ids), _SERIES_A_LOOK):
        ids = series_ids[first : first + _SERIES_A_LOOK]
        with task.transaction() as session:
            part = live_scores.beside(
                session, ids, challenger.key, champion.key, since=now - SHADOW, threshold=DEFAULT_POLICY.threshold
            )
        samples += part.samples
        challenger_alarms += part.challenger_alarms
        champion_alarms += part.champion_alarms
    return Shadow(samples, challenger_alarms, champion_alarms, (now - challenger.since).total_seconds())


def _done(session: Session, champion: Loaded, challenger: Challenger, model: Model, decision: Decision) -> str:
    """Do what was decided, unless the versions that score were changed meanwhile."""
    models.lock(session)
    standing = standings.standings(session).get(challenger.key.algorithm)
    if standing is None or (standing.champion, standing.challenger) != (champion.key, challenger.key):
        return "another_was_activated"
    if decision.outcome == "refused":
        standings.retire(session, challenger.key)
    elif decision.outcome == "promoted":
        models.activate(session, model.version)
        audit.record(
            session,
            action="model_activated",
            actor=ACTOR,
            subject=f"model:{model.version}",
            facts={"version": model.version, "before": champion.model.version},
            request_id=request_id(),
        )
    return decision.outcome
