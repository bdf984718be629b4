"""Samples as Prometheus writes them to a remote store: which can be stored, and how many can't, and why."""

from __future__ import annotations

import math
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from google.protobuf.message import DecodeError
from werkzeug.exceptions import RequestEntityTooLarge

from db.queries.samples import NewSamples
from db.queries.series import REMEMBERED, SeriesKey
from sensus.errors import Unreadable
from sensus.storable import NotStorable
from web.schemas.sample_rules import Window, checked_key
from web.wire.remote_write_pb2 import Label, TimeSeries, WriteRequest

# Prometheus sends up to 2,000 in one request unless told otherwise, vmagent and the like 10,000.
MOST_SAMPLES = 50_000
NAME = "__name__"
# Of all NaNs this one says that the series has ended or its target was lost: there is no value.
STALE = struct.pack("<Q", 0x7FF0000000000002)
RawLabels = tuple[bytes, ...]


@dataclass(slots=True)
class Written:
    """What one request brought: `sent` = samples + markers + those refused."""

    samples: NewSamples = field(default_factory=NewSamples)
    sent: int = 0
    markers: int = 0  # of staleness
    refused: Counter[str] = field(default_factory=Counter)  # samples, by reason
    told: dict[str, str] = field(default_factory=dict)  # of each reason, what is wrong with the first of them
    histograms: int = 0  # native ones
    exemplars: int = 0

    def refuse(self, error: NotStorable, count: int = 1) -> None:
        """Count what is not stored."""
        self.refused[error.reason] += count
        self.told.setdefault(error.reason, f"{error.field}: {error}")


def read(message: bytes, received_at: datetime, *, retention_days: int) -> Written:
    """The samples of a write request.  One odd series or sample never costs its neighbours.

    Raises Unreadable when it is no such message, and RequestEntityTooLarge when it has too many samples.
    """
    try:
        request = WriteRequest.FromString(message)
    except DecodeError:
        raise Unreadable("the body is not a prometheus.WriteRequest") from None
    written = Written()
    window = Window.at(received_at, retention_days=retention_days)
    for series in request.timeseries:
        _add(written, series, window)
        if written.sent > MOST_SAMPLES:
            raise RequestEntityTooLarge(f"more than {MOST_SAMPLES} samples; lower max_samples_per_send")
    return written


def _add(written: Written, series: TimeSeries, window: Window) -> None:
    samples = series.samples
    written.sent += len(samples)
    written.histograms += len(series.histograms)
    written.exemplars += len(series.exemplars)
    labels = tuple(series.labels[:])
    key = _known.get(labels)
    if key is None:
        try:
            key = _opened(labels)
        except NotStorable as error:
            written.refuse(error, len(samples))
            return
    new = written.samples
    oldest, newest = window.oldest, window.newest
    for sample in samples:
        value = sample.value
        at = sample.timestamp * 1000
        if oldest <= at <= newest and math.isfinite(value):
            new.add(new.place_of(key), at, value)
        else:
            _refuse(written, window, at, value)


def _refuse(written: Written, window: Window, at: int, value: float) -> None:
    if struct.pack("<d", value) == STALE:
        written.markers += 1
        return
    try:
        window.check(at)
    except NotStorable as error:
        written.refuse(error)
    else:
        written.refuse(NotStorable("not_finite", "value", f"{value} is no number to reckon with"))


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
