"""Samples as Prometheus writes them to a remote store: which can be stored, and how many can't, and why."""

from __future__ import annotations

import math
import sys
from datetime import datetime
from functools import lru_cache

from google.protobuf.message import DecodeError
from werkzeug.exceptions import RequestEntityTooLarge

from db.queries.series import REMEMBERED, SeriesKey
from sensus.errors import Unreadable
from sensus.storable import NotStorable
from web.schemas.sample_rules import Window, checked_key
from web.schemas.taken import MOST_SAMPLES, Taken
from web.wire.remote_write_pb2 import Label, TimeSeries, WriteRequest

NAME = "__name__"
RawLabels = tuple[bytes, ...]


def read(message: bytes, received_at: datetime, *, retention_days: int) -> Taken:
    """The samples of a write request.  One odd series or sample never costs its neighbours.

    Raises Unreadable when it is no such message, and RequestEntityTooLarge when it has too many samples.
    """
    try:
        request = WriteRequest.FromString(message)
    except DecodeError:
        raise Unreadable("the body is not a prometheus.WriteRequest") from None
    if len(request.timeseries) > MOST_SAMPLES:  # empty ones shrink to next to nothing, and each takes its time
        raise _too_many()
    taken = Taken()
    window = Window.at(received_at, retention_days=retention_days)
    for series in request.timeseries:
        _add(taken, series, window)
        if taken.sent > MOST_SAMPLES:
            raise _too_many()
    return taken


def _too_many() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"more than {MOST_SAMPLES} samples; lower max_samples_per_send")


def _add(taken: Taken, series: TimeSeries, window: Window) -> None:
    samples = series.samples
    taken.sent += len(samples)
    if series.histograms:
        taken.ignored["histogram"] += len(series.histograms)
    if series.exemplars:
        taken.ignored["exemplar"] += len(series.exemplars)
    if not samples:
        return
    labels = tuple(series.labels[:])
    key = _known.get(labels)
    if key is None:
        try:
            key = _opened(labels)
        except NotStorable as error:
            taken.refuse(error, len(samples))
            return
    new, place = taken.samples, None
    oldest, newest = window.oldest, window.newest
    for sample in samples:
        value = sample.value
        at = sample.timestamp * 1000
        if oldest <= at <= newest and math.isfinite(value):
            place = new.place_of(key) if place is None else place
            new.add(place, at, value)
        else:
            taken.refuse_value(window, at, value)


# A sender comes again with the same series, and sends the same bytes for it: then none of its labels is opened.
_known: dict[RawLabels, SeriesKey] = {}


def _opened(labels: RawLabels) -> SeriesKey:
    """The series of these labels, to be known from now on.  Raises NotStorable."""
    shared = [_label(raw) for raw in labels]
    names = [value for _, (label, value) in shared if label == NAME]
    if len(names) != 1:
        raise NotStorable("invalid", "metric_name", f"must stand in one label {NAME}, not in {len(names)}")
    key = checked_key(names[0], tuple(pair for _, pair in shared if pair[0] != NAME))
    if len(_known) >= REMEMBERED:
        _known.clear()
    # Series share most of their labels, and so they share these bytes.
    _known[tuple(raw for raw, _ in shared)] = key
    return key


@lru_cache(maxsize=REMEMBERED)
def _label(raw: bytes) -> tuple[bytes, tuple[str, str]]:
    try:
        label = Label.FromString(raw)
    except DecodeError:
        raise NotStorable("invalid", "labels", "has one that is no label, or not UTF-8") from None
    return raw, (sys.intern(label.name), sys.intern(label.value))
