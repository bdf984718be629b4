"""Find work whose message was lost, and keep house: partitions, retention."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial

from db import exclusive, outbox, packing
from db.queries import analyses, arrivals, models, partitions, progress, runs, stale, upkeep
from llm.errors import LLMError
from ml import detectors
from sensus import audit, logs, metrics, queues
from tasks import signatures
from tasks.answering import answer_incidents, answer_meanwhile
from tasks.app import app
from tasks.base import SensusTask
from tasks.in_force import bring_builtin
from tasks.model_server import model_server
from tasks.telling import ask_to_tell

log = logs.get_logger(__name__)

SERIES_A_SWEEP = 20_000
SERIES_A_MESSAGE = 500
ANALYSES_A_SWEEP = 200
REPLACEMENTS_A_SWEEP = 20
STALE_A_SWEEP = 1_000
ACTOR = "sweep"
# Who asked less long ago than this has a message under way.
_FRESH_S = 20.0
_PING_S = 3.0
_GIVEN_UP = "its worker died or failed in it again and again"

# Scores tell by which version they were made; a nightly version each, this outlives the retention of scores.
_MODELS_KEPT = 60
_RUNS_KEPT_DAYS = 90
_HOUSE_BUDGET_S = 120.0
_PACKING_UNTIL_S = 240.0
_HOUSE_WAITS_S = 60.0
# As long as it takes, until shortly before the next day's.
_HOUSE_TRIES = int(23 * 3600 / _HOUSE_WAITS_S)
_ANSWERING_BUDGET_S = 60.0

Part = Callable[[SensusTask], int]


@app.task(base=SensusTask, bind=True)
def sweep(self: SensusTask) -> None:
    """Look for all kinds of unfinished work and knock for it; one kind's trouble is not another's."""
    parts: dict[str, Part] = {
        "audit": _relay,
        "model": _model,
        "series": _series,
        "given_up": _give_up,
        "analyses": _analyses,
        "replaceable": _replaceable,
        "runs": _runs,
        "stale": _stale,
    }
    for kind, found in _each(self, parts, told="sweep_part_failed").items():
        if found:
            metrics.sweep_found.labels(kind).inc(found)
            log.info("sweep_found", kind=kind, count=found)


def _each(task: SensusTask, parts: Mapping[str, Part], *, told: str) -> dict[str, int]:
    """What each part did, of those that did not fail."""
    done: dict[str, int] = {}
    for kind, part in parts.items():
        try:
            done[kind] = part(task)
        except Exception as error:
            log.warning(told, kind=kind, error=type(error).__name__, reason=str(error)[:200])
    return done


@app.task(base=SensusTask, bind=True)
def answer_unanswered(self: SensusTask) -> None:
    """Show what the evidence alone supports, of every alert, and of every incident that would wait for the model."""
    until = time.monotonic() + _ANSWERING_BUDGET_S
    answered = answer_meanwhile(self.database, until=until)
    answered += answer_incidents(self.database, self.settings, until=until)
    if answered:
        log.info("answered_meanwhile", count=answered)


@app.task(base=SensusTask, bind=True, max_retries=_HOUSE_TRIES)
def keep_house(self: SensusTask) -> None:
    """Make the partitions to come, drop the old ones, and forget what is past its retention."""
    with exclusive.alone(self.database, exclusive.LONG_WORK) as is_alone:
        if is_alone:
            _keep_house(self)
    if not is_alone:
        # Who trains may need minutes, and one process is kept free for what can't wait.
        raise self.retry(countdown=_HOUSE_WAITS_S)


def _keep_house(task: SensusTask) -> None:
    now = time.monotonic()
    forgets: dict[str, Part] = {kind: partial(_forget, kind=kind, until=now + _HOUSE_BUDGET_S) for kind in upkeep.KINDS}
    done = _each(
        task,
        {
            "made": _make_partitions,
            "dropped": _drop_partitions,
            **forgets,
            "runs": _forget_runs,
            "models": _forget_models,
            "packed": partial(_pack, until=now + _PACKING_UNTIL_S),
        },
        told="house_part_failed",
    )
    log.info("house_kept", **done)


def _make_partitions(task: SensusTask) -> int:
    with task.transaction() as session:
        return len(partitions.make(session, sample_days=task.settings.retention_days))


def _drop_partitions(task: SensusTask) -> int:
    with task.transaction() as session:
        upkeep.wait_briefly(session)
        dropped = partitions.drop(
            session, sample_days=task.settings.retention_days, score_days=task.settings.score_retention_days
        )
    return len(dropped)


def _forget_runs(task: SensusTask) -> int:
    with task.transaction() as session:
        return runs.forget_old(session, days=_RUNS_KEPT_DAYS)


def _forget_models(task: SensusTask) -> int:
    with task.transaction() as session:
        return models.forget_old(session, keep=_MODELS_KEPT)


def _pack(task: SensusTask, *, until: float) -> int:
    return len(packing.pack(task.database, until=until))


def _forget(task: SensusTask, *, kind: upkeep.Kind, until: float) -> int:
    """Portion by portion, each its own transaction; what time is left for tomorrow's run is no loss."""
    days = task.settings.retention_days
    if kind == "audit":
        days = max(days, upkeep.AUDIT_DAYS)
    total = 0
    while time.monotonic() < until:
        with task.transaction() as session:
            gone = upkeep.forget(session, kind, days=days)
        total += gone
        if gone < upkeep.PORTION:
            break
    return total


def _model(task: SensusTask) -> int:
    """A fresh system gets its model here, so that the first samples need not wait for it."""
    with task.transaction() as session:
        if models.in_force(session, detectors.DEFAULT) is not None:
            return 0
    bring_builtin(task.database)
    return 1


def _relay(task: SensusTask) -> int:
    return outbox.relay(task.database, partial(audit.append_batch, task.resources.redis))


def _series(task: SensusTask) -> int:
    noted = arrivals.all_notes(task.transaction)
    metrics.samples_late.inc(noted.late)
    if queues.length(task.resources.redis, "anomaly") > SERIES_A_SWEEP // SERIES_A_MESSAGE:
        return 0
    with task.transaction() as session:
        ids = progress.unscored(session, limit=SERIES_A_SWEEP)
    for start in range(0, len(ids), SERIES_A_MESSAGE):
        signatures.score_series(series_ids=ids[start : start + SERIES_A_MESSAGE])
    return len(ids)


def _give_up(task: SensusTask) -> int:
    with task.transaction() as session:
        failed = analyses.give_up(session, reason=_GIVEN_UP)
        ask_to_tell(session, task.settings, failed)
    if failed:
        log.error("analyses_given_up", analysis_ids=failed[:20], count=len(failed))
    return len(failed)


def _analyses(task: SensusTask) -> int:
    # Each message here may take minutes. One for each waiting analysis and minute would fill the queue for ever
    # with knocks at doors that others have opened since.
    room = ANALYSES_A_SWEEP - queues.length(task.resources.redis, "llm")
    if room <= 0:
        return 0
    with task.transaction() as session:
        ids = analyses.waiting(session, limit=room, older_than_s=_FRESH_S)
    signatures.analyse(analysis_ids=ids)
    return len(ids)


def _replaceable(task: SensusTask) -> int:
    room = REPLACEMENTS_A_SWEEP - queues.length(task.resources.redis, "llm")
    if room <= 0:
        return 0
    with task.transaction() as session:
        ids = analyses.replaceable(session, limit=room)
    if not ids or not _model_answers(task):
        return 0
    signatures.analyse(analysis_ids=ids)
    return len(ids)


def _runs(task: SensusTask) -> int:
    with task.transaction() as session:
        waiting = runs.waiting(session)
    knock: dict[str, Callable[[uuid.UUID], None]] = {
        "train": lambda run_id: signatures.train(run_id=run_id),
        "evaluate": lambda run_id: signatures.evaluate(run_id=run_id),
    }
    for run_id, kind in waiting:
        knock[kind](run_id)
    return len(waiting)


def _stale(task: SensusTask) -> int:
    hours = task.settings.stale_after_hours
    if not hours:
        return 0
    request_id = logs.bound_request_id() or logs.new_request_id()
    with task.transaction() as session:
        marked = stale.mark(session, hours=hours, portion=STALE_A_SWEEP, actor=ACTOR, request_id=request_id)
    metrics.alerts_stale.inc(len(marked))
    return len(marked)


def _model_answers(task: SensusTask) -> bool:
    try:
        server = model_server(task.settings)
        return server.ping(timeout_s=_PING_S).has_any(server.models)
    except LLMError:
        return False
