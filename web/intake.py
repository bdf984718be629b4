"""Stores samples, whichever door they came by: one transaction, then an audit entry and a knock."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flask import current_app
from sqlalchemy.exc import IntegrityError

from db.queries import outbox, samples
from db.queries.samples import NewSamples, SeriesGone, Stored
from db.queries.series import KnownSeries, SeriesKey
from sensus import audit, logs, metrics
from web.access import caller
from web.request_context import request_id
from web.resources import resources

log = logs.get_logger(__name__)
_EXTENSION = "sensus_known_series"
# A series may be deleted and a partition be missing, each once.
_TRIES = 3
_QUIET_S = 300.0
_quiet_until: dict[tuple[str, str], float] = {}  # by caller and reason, and of both there are few


def store(new: NewSamples, *, facts: Mapping[str, object]) -> Stored:
    """Store samples with their audit entry, which has these facts too, in one transaction; then tell the workers."""
    known = _known_series()
    for tries_left in reversed(range(_TRIES)):
        try:
            stored = _store_once(new, known, facts)
        except SeriesGone as error:
            known.forget(error.keys)
            if not tries_left:
                raise
        except IntegrityError as error:
            if not samples.partition_is_missing(error) or not tries_left:
                raise
            # The daily upkeep did not run for weeks, and a sender shall not suffer for it.
            samples.make_partitions(resources().database, retention_days=resources().settings.retention_days)
        else:
            break
    background = resources().background
    background.relay()
    background.knock_series(stored.series_ids)
    metrics.metrics_received.inc(len(new))
    metrics.samples_late.inc(stored.late)
    return stored


def count_refused(reasons: Mapping[str, int]) -> None:
    """Tell Prometheus how many samples were not stored, and why."""
    for reason, count in reasons.items():
        metrics.samples_refused.labels(reason).inc(count)


def warn_of_refused(told: Mapping[str, str]) -> None:
    """Log what is wrong, by reason, of a sender that reads no answer; each once in a while, for it will come again."""
    actor = caller().identity
    now = time.monotonic()
    for reason, message in told.items():
        if now > _quiet_until.get((actor, reason), 0.0):
            _quiet_until[actor, reason] = now + _QUIET_S
            log.warning("samples_refused", actor=actor, reason=reason, first=message)


def _store_once(new: NewSamples, known: KnownSeries, facts: Mapping[str, object]) -> Stored:
    with resources().database.transaction() as session:
        stored = Stored(0, 0, ())
        made: dict[SeriesKey, int] = {}
        if len(new):
            stored, made = samples.store(session, new, known.get(new.keys))
        outbox.add(
            session,
            stream=audit.RAW,
            type="metric",
            facts={
                "accepted": len(new),
                "duplicates": len(new) - stored.samples,
                "late": stored.late,
                "series": len(new.keys),
                **facts,
            },
            request_id=request_id(),
            actor=caller().identity,
        )
    known.remember(made)
    return stored


def _known_series() -> KnownSeries:
    known = current_app.extensions.setdefault(_EXTENSION, KnownSeries())
    assert isinstance(known, KnownSeries)  # noqa: S101 (says so to mypy)
    return known
