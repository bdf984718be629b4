"""Score new samples: claim series, compute, keep; each sample once, whatever the broker does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite

from billiard.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.models.sample import STATE_CODES
from db.queries import arrivals, detector_choices, progress
from db.queries.forecasts import NewForecast
from db.queries.new_scores import InShadow, NewAnomaly, NewScore
from db.queries.progress import Scored, SeriesClaim
from db.session import Database
from ml.counters import growth, judged, spread
from ml.features import needs_rings
from ml.memory import Memory
from ml.scoring import Anomaly, Unscored, score_batch
from ml.scoring import Scored as Figures
from sensus import logs, metrics, times
from tasks import counters, forecasting, signatures
from tasks.app import app
from tasks.base import SensusTask, may_pass
from tasks.in_force import InForce, Loaded, Pair, Scorers

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
# Samples of a series in order of time, and those of several series by their ids.
Rows = Sequence[tuple[datetime, float]]
Samples = Mapping[int, Rows]


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a claim up to `until`: `count` samples, and `rows` are those that are numbers.

    Of each of these rows `values` has what is judged: of a counter its growth, NaN where it is not known.
    """

    claim: SeriesClaim
    until: datetime
    count: int
    rows: Rows
    seconds: Sequence[float]
    values: Sequence[float]


@app.task(base=SensusTask, bind=True)
def score_series(self: SensusTask, *, series_ids: list[int]) -> None:
    """Score the new samples of these series, of any when no ids are given."""
    series_ids = _with_arrivals(self, series_ids)
    until = time.monotonic() + BUDGET_S
    pauses = iter(LOOK_AGAIN_S)
    while time.monotonic() < until:
        with self.transaction() as session:
            claims = progress.claim(session, series_ids, limit=SERIES_A_CLAIM, lease_s=LEASE_S, holder=self.holder)
            chosen = _by_detector(session, claims, self.settings.detector)
        if claims:
            found = 0
            for detector, claimed in chosen.items():
                pair = _in_force.pair(self.database, detector)
                for scorers, part in _shared_out(pair, claimed, self.settings.challenger_share).items():
                    found += score_claims(self.database, scorers, part)
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
        noted = arrivals.all_notes(task.transaction)
    except Exception as error:
        if not may_pass(error):
            raise
        # Somebody holds the progress of a series for long. What is noted already can be scored all the same.
        log.warning("arrivals_not_noted", error=type(error).__name__)
        return series_ids
    metrics.samples_late.inc(noted.late)
    return sorted({*series_ids, *noted.series_ids}) if series_ids else []


def _by_detector(session: Session, claims: Sequence[SeriesClaim], default: str) -> dict[str, list[SeriesClaim]]:
    """The claims by the detector that is to score them."""
    choices = detector_choices.every(session) if claims else ()
    detectors = detector_choices.detectors_of(session, choices, [claim.series_id for claim in claims])
    parts: dict[str, list[SeriesClaim]] = {}
    for claim in claims:
        parts.setdefault(detectors.get(claim.series_id, default), []).append(claim)
    return parts


def _shared_out(pair: Pair, claims: Sequence[SeriesClaim], challenger_share: float) -> dict[Scorers, list[SeriesClaim]]:
    """The claims by who scores them."""
    parts: dict[Scorers, list[SeriesClaim]] = {}
    for claim in claims:
        parts.setdefault(pair.of_series(claim.series_id, challenger_share), []).append(claim)
    return parts


def score_claims(database: Database, scorers: Scorers, claims: Sequence[SeriesClaim]) -> int:
    """Score what was claimed and keep it; how many anomalies there were.  One that fails costs its neighbours nothing.

    One into which samples slip again and again is let go, and scored when its sender has got to the newest.
    """
    waiting, found = list(claims), 0
    for _ in range(1 + REREADS):
        with database.transaction() as session:
            samples = progress.unscored_samples(session, waiting, limit=SAMPLES_A_CHUNK)
            waiting = _with_rings(session, _told_apart(session, waiting), samples)
        results, failed = _scored(scorers, waiting, samples)
        if failed:
            with database.transaction() as session:
                progress.give_back(session, failed, failed=True)
        changed = _keep(database, scorers.own, results)
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


def _told_apart(session: Session, claims: Sequence[SeriesClaim]) -> list[SeriesClaim]:
    """The claims, each with what is to be judged: the growth of a counter, else the level."""
    names = counters.among(session, {claim.metric_name for claim in claims})
    return [_judged_by(claim, per_second=claim.metric_name in names) for claim in claims]


def _judged_by(claim: SeriesClaim, *, per_second: bool) -> SeriesClaim:
    if claim.per_second == per_second:
        return claim
    if claim.memory is not None:
        log.info("series_starts_afresh", series_id=claim.series_id, reason="a counter by another rule than before")
    return replace(claim, per_second=per_second, before=None, memory=None, shadow_memory=None, shadow_version_id=None)


def _with_rings(session: Session, claims: Sequence[SeriesClaim], samples: Samples) -> list[SeriesClaim]:
    """The claims, with the rings of series of which an hour ends."""
    there = [claim for claim in claims if _ends_an_hour(claim, samples[claim.series_id])]
    rings = {claim.series_id: claim for claim in progress.with_rings(session, there)} if there else {}
    return [rings.get(claim.series_id, claim) for claim in claims]


def _ends_an_hour(claim: SeriesClaim, rows: Rows) -> bool:
    return bool(rows) and needs_rings(claim.memory, times.to_epoch(rows[-1][0]))


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


def _scored(
    scorers: Scorers, claims: Sequence[SeriesClaim], samples: Samples
) -> tuple[list[Scored], list[SeriesClaim]]:
    """What came of the claims, and which of them failed; all at once when that works, else one by one."""
    try:
        return _scored_together(scorers, claims, samples), []
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        log.warning("series_scored_one_by_one", count=len(claims), error=type(error).__name__)
    # Who only scores in the shadow is left out: what is wrong with it must cost nobody anything.
    alone = Scorers(scorers.own)
    results, failed = [], []
    for claim in claims:
        try:
            results += _scored_together(alone, [claim], samples)
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            log.exception("series_not_scored", series_id=claim.series_id, failures=claim.failures)
            failed.append(claim)
    return results, failed


def _scored_together(scorers: Scorers, claims: Sequence[SeriesClaim], samples: Samples) -> list[Scored]:
    shadow = scorers.shadow
    reads = [_read(claim, samples[claim.series_id]) for claim in claims]
    unscored = [
        Unscored(
            *(judged(read.seconds, read.values) if read.claim.per_second else (read.seconds, read.values)),
            memory=_memory(read.claim, read.rows),
            # A version that is new in the shadow begins with what the other one remembers.
            shadow=read.claim.shadow_memory
            if shadow is not None and read.claim.shadow_version_id == shadow.key.id
            else None,
        )
        for read in reads
    ]
    scored = score_batch(scorers.own.model, unscored, shadow=None if shadow is None else shadow.model)
    expected = forecasting.of(claims, scored)
    return [
        _result(scorers, read, figures, expected.get(read.claim.series_id))
        for read, figures in zip(reads, scored, strict=True)
    ]


def _read(claim: SeriesClaim, read: Rows) -> _Read:
    # A NaN has no place in arithmetic that goes on for weeks: it is passed over, as it is offline.
    rows = [(at, value) for at, value in read if isfinite(value)]
    seconds, values = [times.to_epoch(at) for at, _ in rows], [value for _, value in rows]
    if claim.per_second:
        values = growth(seconds, values, claim.before and (times.to_epoch(claim.before[0]), claim.before[1]))
    is_all = len(read) < SAMPLES_A_CHUNK
    return _Read(claim, claim.until if is_all else read[-1][0], len(read), rows, seconds, values)


def _memory(claim: SeriesClaim, rows: Rows) -> Memory | None:
    if claim.memory is None:
        return None
    if claim.rings is None and _ends_an_hour(claim, rows):
        log.warning("series_starts_afresh", series_id=claim.series_id, reason="its rings are gone")
        return None
    return Memory(claim.memory, claim.rings)


def _result(scorers: Scorers, read: _Read, figures: Figures, forecast: NewForecast | None) -> Scored:
    claim = read.claim
    if figures.refused is not None:
        # Another release wrote it. A series that starts afresh warms up again; one that is stuck is never scored.
        log.warning("series_starts_afresh", series_id=claim.series_id, reason=figures.refused)
    if claim.per_second:
        figures = spread(figures, read.values)
    return Scored(
        claim=claim,
        until=read.until,
        read=read.count,
        scores=[
            NewScore(at, score, alert, STATE_CODES[state])
            for (at, _), score, alert, state in zip(
                read.rows, figures.scores, figures.alerts, figures.states, strict=True
            )
        ],
        anomalies=[_anomaly(read, figures, one, scorers.own.model.version) for one in figures.anomalies],
        memory=figures.memory.hot,
        rings=figures.memory.rings,
        shadow=_in_shadow(scorers, figures),
        forecast=forecast,
        last=(read.rows[-1] if read.rows else claim.before) if claim.per_second else None,
    )


def _in_shadow(scorers: Scorers, figures: Figures) -> InShadow | None:
    said, memory = figures.shadow, figures.shadow_memory
    if scorers.shadow is None or said is None or memory is None:
        return None
    return InShadow(scorers.shadow.key.id, said.scores, said.alerts, memory)


def _anomaly(read: _Read, figures: Figures, anomaly: Anomaly, version: str) -> NewAnomaly:
    at, _ = read.rows[anomaly.sample]
    alert = figures.alerts[anomaly.sample]
    told = {
        "value": read.values[anomaly.sample],
        "per_second": read.claim.per_second,
        "threshold": anomaly.threshold,
        "expected_low": _finite(anomaly.expected_low),
        "expected_high": _finite(anomaly.expected_high),
        "alert": alert,
        "features": [
            {"name": part.name, "value": _finite(part.value), "contribution": _finite(part.contribution)}
            for part in anomaly.contributions
        ],
        "model_version": version,
    }
    return NewAnomaly(at, figures.scores[anomaly.sample], alert, told)


def _finite(value: float) -> float | None:
    # JSON has no word for infinity, and PostgreSQL refuses it.
    return value if isfinite(value) else None
