"""Score new samples: claim series, compute, keep; each sample once, whatever the broker does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from math import isfinite

from billiard.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy.exc import DBAPIError

from db.models.sample import STATE_CODES
from db.queries import arrivals, progress
from db.queries.progress import NewAnomaly, NewScore, Scored, SeriesClaim
from db.session import Database
from ml.artifact import Model
from ml.errors import MemoryRejected
from ml.scoring import Anomaly, Batch, Figures, score_batch
from sensus import logs, metrics, times
from tasks import signatures
from tasks.app import app
from tasks.base import SensusTask, may_pass
from tasks.in_force import InForce, Loaded

log = logs.get_logger(__name__)

SERIES_A_CLAIM = 64
SAMPLES_A_CHUNK = 5_000
# Longer than a claim of that size takes on a slow machine, and the longest wait for work that died with its worker.
LEASE_S = 60.0
REREADS = 3
# How long a series is left alone into which samples slipped before others that were just being scored.
RESTLESS_S = 2.0
# A task ends well before the time limits of Celery; what is left goes on with the next message.
BUDGET_S = 90.0
# What is held longer than all of these is left to the sweep.
LOOK_AGAIN_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)

_in_force = InForce()


@app.task(base=SensusTask, bind=True)
def score_series(self: SensusTask, *, series_ids: list[int]) -> None:
    """Score the new samples of these series, of any when no ids are given."""
    series_ids = _with_arrivals(self, series_ids)
    loaded = _in_force.get(self.database)
    until = time.monotonic() + BUDGET_S
    pauses = iter(LOOK_AGAIN_S)
    while time.monotonic() < until:
        with self.transaction() as session:
            claims = progress.claim(session, series_ids, limit=SERIES_A_CLAIM, lease_s=LEASE_S, holder=self.holder)
        if claims:
            found = score_claims(self.database, loaded, claims)
            if found and self.settings.anomaly_alerts:
                _knock()
            pauses = iter(LOOK_AGAIN_S)
            continue
        # A request that is just storing samples of a series holds its row, and the claim has passed it over.
        with self.transaction() as session:
            held = bool(series_ids) and progress.may_be_claimed(session, series_ids)
        pause_s = next(pauses, None) if held else None
        if pause_s is None:
            return
        time.sleep(pause_s)
    signatures.score_series(series_ids=series_ids)


def _with_arrivals(task: SensusTask, series_ids: list[int]) -> list[int]:
    """What came in is noted here too, since the process that took it may have died; these series and those of that."""
    try:
        with task.transaction() as session:
            noted = arrivals.all_notes(session)
    except Exception as error:
        if not may_pass(error):
            raise
        # Somebody holds the progress of a series for long. What is noted already can be scored all the same.
        log.warning("arrivals_not_noted", error=type(error).__name__)
        return series_ids
    metrics.samples_late.inc(noted.late)
    return sorted({*series_ids, *noted.series_ids}) if series_ids else []


def score_claims(database: Database, loaded: Loaded, claims: Sequence[SeriesClaim]) -> int:
    """Score what was claimed and keep it; how many anomalies there were.  One that fails costs its neighbours nothing.

    One into which samples slip again and again is let go, and scored when its sender has got to the newest.
    """
    waiting, found = list(claims), 0
    for _ in range(1 + REREADS):
        with database.transaction() as session:
            samples = progress.unscored_samples(session, waiting, limit=SAMPLES_A_CHUNK)
        results, failed = [], []
        for claim in waiting:
            try:
                results.append(_scored(loaded.model, claim, samples[claim.series_id]))
            except SoftTimeLimitExceeded:
                raise
            except Exception:
                log.exception("series_not_scored", series_id=claim.series_id, failures=claim.failures)
                failed.append(claim)
        if failed:
            with database.transaction() as session:
                progress.give_back(session, failed, failed=True)
        changed = _keep(database, loaded, results)
        found += sum(len(result.anomalies) for result in results if result.claim.series_id not in changed)
        # A sample that slipped in behind the newest one read belongs before it: read again, in order.
        waiting = [claim for claim in waiting if claim.series_id in changed]
        if not waiting:
            return found
    log.info("series_still_change", count=len(waiting))
    with database.transaction() as session:
        progress.give_back(session, waiting, failed=False, rest_s=RESTLESS_S)
    return found


def _knock() -> None:
    try:
        signatures.tell_anomalies()
    except BrokerAway:
        # The rows are there, so the next look finds them.
        metrics.messages_lost.labels("tell_anomalies").inc()


def _keep(database: Database, loaded: Loaded, results: Sequence[Scored]) -> frozenset[int]:
    """Store the results, all in one transaction when that works, else one by one; which series changed meanwhile."""
    try:
        return _keep_together(database, loaded, results)
    except DBAPIError as error:
        log.warning("scores_kept_one_by_one", count=len(results), error=type(error.orig).__name__)
    changed: set[int] = set()
    for result in results:
        try:
            changed |= _keep_together(database, loaded, [result])
        except DBAPIError:
            log.exception("scores_not_kept", series_id=result.claim.series_id, failures=result.claim.failures)
            with database.transaction() as session:
                progress.give_back(session, [result.claim], failed=True)
    return frozenset(changed)


def _keep_together(database: Database, loaded: Loaded, results: Sequence[Scored]) -> frozenset[int]:
    with database.transaction() as session:
        stored = progress.keep(session, results, model_version_id=loaded.key.id, algorithm=loaded.model.algorithm)
    kept = [result for result in results if result.claim.series_id in stored.kept]
    metrics.samples_scored.inc(sum(len(result.scores) for result in kept))
    metrics.anomalies_detected.inc(sum(len(result.anomalies) for result in kept))
    return stored.changed


def _scored(model: Model, claim: SeriesClaim, samples: Sequence[tuple[datetime, float]]) -> Scored:
    # A NaN has no place in arithmetic that goes on for weeks: it is passed over, as it is offline.
    usable = [(at, value) for at, value in samples if isfinite(value)]
    moments = [at for at, _ in usable]
    batch = _batch(model, claim, [times.to_epoch(at) for at in moments], [value for _, value in usable])
    return Scored(
        claim=claim,
        until=claim.until if len(samples) < SAMPLES_A_CHUNK else samples[-1][0],
        read=len(samples),
        scores=[
            NewScore(at, row.score, row.alert, STATE_CODES[row.state])
            for at, row in zip(moments, batch.figures, strict=True)
        ],
        anomalies=[
            NewAnomaly(at, row.score, row.alert, _told(row, row.anomaly, model.version))
            for at, row in zip(moments, batch.figures, strict=True)
            if row.anomaly is not None
        ],
        memory=batch.memory,
    )


def _batch(model: Model, claim: SeriesClaim, seconds: list[float], values: list[float]) -> Batch:
    try:
        return score_batch(model, claim.memory, seconds, values)
    except MemoryRejected as refusal:
        # Another release wrote it. A series that starts afresh warms up again; one that is stuck is never scored.
        log.warning("series_starts_afresh", series_id=claim.series_id, reason=str(refusal))
        return score_batch(model, None, seconds, values)


def _told(row: Figures, anomaly: Anomaly, version: str) -> dict[str, object]:
    return {
        "value": row.value,
        "threshold": anomaly.threshold,
        "expected_low": _finite(anomaly.expected_low),
        "expected_high": _finite(anomaly.expected_high),
        "alert": row.alert,
        "features": [
            {"name": part.name, "value": _finite(part.value), "contribution": _finite(part.contribution)}
            for part in anomaly.contributions
        ],
        "model_version": version,
    }


def _finite(value: float) -> float | None:
    # JSON has no word for infinity, and PostgreSQL refuses it.
    return value if isfinite(value) else None
