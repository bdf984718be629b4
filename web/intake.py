"""Stores samples, whichever door they came by: one transaction, then an audit entry and a knock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy.exc import IntegrityError

from db.direct import Within
from db.queries import new_series, outbox, samples, series
from db.queries.samples import NewSamples
from db.queries.series import KnownSeries, SeriesKey
from sensus import audit, logs, metrics, times
from web.access import caller
from web.request_context import request_id
from web.resources import resources
from web.schemas.taken import Taken

log = logs.get_logger(__name__)
NEW_SERIES = "new_series"  # the reason of refusals
_EXTENSION = "sensus_known_series"
_QUIET_S = 300.0
_quiet_until: dict[tuple[str, str], float] = {}  # by caller and reason, and of both there are few


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the samples of a request."""

    accepted: int
    duplicates: int  # of these
    left_out: list[int]  # their places in what was given: samples of series that may not be made
    why: str  # they are left out


def store_taken(taken: Taken) -> Receipt:
    """The same for a bulk request, of which what is not stored is counted and logged here."""
    receipt = store(taken.samples, refused=taken.refused.total(), facts={"markers": taken.markers})
    count_refused(taken.refused)
    warn_of_refused(taken.told)
    metrics.staleness_markers.inc(taken.markers)
    for kind, count in taken.ignored.items():
        metrics.samples_ignored.labels(kind).inc(count)
    return receipt


def store(new: NewSamples, *, refused: int, facts: Mapping[str, object]) -> Receipt:
    """Store samples with their audit entry in one transaction; then tell the workers.

    `refused` were left out before; the entry has `facts` too. Samples of new series beyond the caller's allowance
    are left out and counted; the others are stored.
    """
    known = _known_series()
    try:
        receipt = _store_once(new, known, refused, facts)
    except IntegrityError as error:
        if not samples.partition_is_missing(error):
            raise
        # The daily upkeep did not run for weeks, and a sender shall not suffer for it.
        samples.make_partitions(resources().database, retention_days=resources().settings.retention_days)
        receipt = _store_once(new, known, refused, facts)
    background = resources().background
    background.relay()
    background.note_arrivals()
    metrics.metrics_received.inc(receipt.accepted)
    if receipt.left_out:
        count_refused({NEW_SERIES: len(receipt.left_out)})
        warn_of_refused({NEW_SERIES: receipt.why})
    return receipt


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


def _store_once(new: NewSamples, known: KnownSeries, refused: int, facts: Mapping[str, object]) -> Receipt:
    with resources().database.direct() as connection:
        connection.begin()
        epoch = series.hold(connection)
        admitted = _admit(connection, new, known.get(new.keys, epoch=epoch))
        stored = 0
        made: dict[SeriesKey, int] = {}
        if len(admitted.samples):
            stored, made = samples.store(connection, admitted.samples, admitted.ids)
        accepted = len(admitted.samples)
        receipt = Receipt(accepted, accepted - stored, admitted.left_out, admitted.why)
        outbox.add(
            connection,
            outbox.NewEntry(
                stream=audit.RAW,
                type="metric",
                facts={
                    "accepted": receipt.accepted,
                    "duplicates": receipt.duplicates,
                    "rejected": refused + len(receipt.left_out),
                    "series": len(admitted.samples.keys),
                    **facts,
                },
                request_id=request_id(),
                actor=caller().identity,
            ),
        )
    known.remember({**admitted.found, **made}, epoch=epoch)
    return receipt


@dataclass(frozen=True, slots=True)
class _Admitted:
    """What may be stored, with the ids of its series, as far as they are there, and what may not."""

    samples: NewSamples
    ids: Mapping[SeriesKey, int]
    found: Mapping[SeriesKey, int]  # of the ids those that this process did not know
    left_out: list[int]
    why: str


def _admit(within: Within, new: NewSamples, ids: Mapping[SeriesKey, int]) -> _Admitted:
    most = resources().settings.new_series_per_hour
    if len(ids) == len(new.keys) or not most:
        return _Admitted(new, ids, {}, [], "")
    unknown = [key for key in new.keys if key not in ids]
    found = series.find(within, unknown)
    wanted = [key for key in unknown if key not in found]
    left_out: list[int] = []
    why = ""
    if wanted:
        allowance = new_series.take(within, caller().identity, len(wanted), most=most)
        if allowance.granted < len(wanted):
            why = _beyond(most, allowance.renewed_at)
            new, left_out = new.without(frozenset(wanted[allowance.granted :]))
    return _Admitted(new, {**ids, **found}, found, left_out, why)


def _beyond(most: int, renewed_at: datetime) -> str:
    return (
        f"a new series, and {caller().identity} asked for more than {most} in an hour; samples of known series are "
        f"stored, new ones again from {times.isoformat(renewed_at.replace(microsecond=0))} on. Send labels with fewer "
        "different values, or raise SENSUS_NEW_SERIES_PER_HOUR"
    )


def _known_series() -> KnownSeries:
    known = current_app.extensions.setdefault(_EXTENSION, KnownSeries())
    assert isinstance(known, KnownSeries)  # noqa: S101 (says so to mypy)
    return known
