"""Samples as JSON, one or many: which of them can be stored, and what is wrong with the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import msgspec
from werkzeug.exceptions import RequestEntityTooLarge

from db.queries.samples import NewSamples
from db.queries.series import REMEMBERED, SeriesKey
from sensus import times
from sensus.storable import MOST_SAMPLES, NotStorable
from web import bodies
from web.schemas.sample_rules import Window, series_key


class SampleIn(msgspec.Struct, gc=False):
    """One value of a series.  Without a timestamp it is of now."""

    metric_name: str
    metric_value: float
    labels: dict[str, str] | None = None
    timestamp: str | float | None = None


class SamplesIn(msgspec.Struct):
    """Several samples."""

    metrics: list[SampleIn]


class _Unopened(msgspec.Struct, gc=False):
    """A `SampleIn` whose labels are left as they came."""

    metric_name: str
    metric_value: float
    labels: msgspec.Raw = msgspec.Raw()
    timestamp: str | float | None = None


class _AllUnopened(msgspec.Struct):
    metrics: list[_Unopened]


@dataclass(frozen=True, slots=True)
class Refused:
    """A sample that is not stored."""

    index: int
    field: str
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request brought."""

    samples: NewSamples
    refused: list[Refused]

    def indexes(self) -> list[int]:
        """Where in the request each of the samples stood."""
        refused = {item.index for item in self.refused}
        return [index for index in range(len(self.samples) + len(refused)) if index not in refused]


@dataclass(slots=True)
class _Reading:
    """The work on one request."""

    received_at: int  # microseconds after 1970
    window: Window
    samples: NewSamples = field(default_factory=NewSamples)
    refused: list[Refused] = field(default_factory=list)
    well_formed: int = 0

    def add(self, index: int, sample: SampleIn) -> None:
        try:
            key = series_key(sample.metric_name, tuple(sample.labels.items()) if sample.labels else ())
            at = self.received_at if sample.timestamp is None else _time(sample.timestamp)
            self.well_formed += 1
            self.window.check(at)
            self.samples.add(self.samples.place_of(key), at, sample.metric_value)
        except NotStorable as error:
            self.refuse(index, error.field, str(error), error.reason)

    def add_all(self, samples: list[_Unopened]) -> None:
        """The same for many.  Raises msgspec.ValidationError when labels are not what they must be."""
        new, moments = self.samples, dict[str | float | None, int]()
        oldest, newest = self.window.oldest, self.window.newest
        moments[None] = self.received_at
        for index, sample in enumerate(samples):
            try:
                key = _key_of(sample.metric_name, bytes(sample.labels))
                stamp = sample.timestamp
                # The samples of one scrape are of one time.
                at = moments.get(stamp)
                if at is None:
                    at = moments[stamp] = _time(stamp)
                self.well_formed += 1
                if not oldest <= at <= newest:
                    self.window.check(at)
                new.add(new.place_of(key), at, sample.metric_value)
            except NotStorable as error:
                self.refuse(index, error.field, str(error), error.reason)

    def refuse(self, index: int, field_: str, message: str, reason: str) -> None:
        self.refused.append(Refused(index, field_, message, reason))


_SAMPLE = msgspec.json.Decoder(SampleIn)
_SAMPLES = msgspec.json.Decoder(list[_Unopened])
_BATCH = msgspec.json.Decoder(_AllUnopened)
_LABELS = msgspec.json.Decoder(dict[str, str] | None)


def read(body: bytes, received_at: datetime, *, retention_days: int) -> Batch:
    """The samples of a body.  One odd sample never costs its neighbours.

    Raises Unreadable when the body is no JSON, Invalid when not one sample has the right form, and
    RequestEntityTooLarge when there are too many.
    """
    window = Window.at(received_at, retention_days=retention_days)
    reading = _Reading(times.to_microseconds(received_at), window)
    prefix = "metrics." if body.lstrip()[:1] == b"{" else ""
    try:
        samples = _unopened(body)
        _refuse_too_many(len(samples))
        reading.add_all(samples)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        reading = _Reading(times.to_microseconds(received_at), window)
        items, prefix = _items(body)
        _refuse_too_many(len(items))
        for index, raw in enumerate(items):
            try:
                reading.add(index, _SAMPLE.decode(raw))
            except msgspec.ValidationError as error:
                reading.refuse(index, *bodies.what_is_wrong(error), "invalid")
    if reading.refused and not reading.well_formed:
        raise bodies.invalid({_path(prefix, refused): refused.message for refused in reading.refused})
    return Batch(reading.samples, reading.refused)


_ALONE = "alone"


def _unopened(body: bytes) -> list[_Unopened]:
    """All samples in one step; raises when the body needs a closer look."""
    body.decode()
    return _SAMPLES.decode(body) if body.lstrip()[:1] == b"[" else _BATCH.decode(body).metrics


# A sender comes again with the same series in the same words: then none of its labels is opened.
@lru_cache(maxsize=REMEMBERED)
def _key_of(name: str, labels: bytes) -> SeriesKey:
    """The series of this name with the labels of this JSON text.  Raises NotStorable or msgspec.ValidationError."""
    opened = _LABELS.decode(labels) if labels else None
    return series_key(name, tuple(opened.items()) if opened else ())


def _items(body: bytes) -> tuple[list[msgspec.Raw], str]:
    """The samples, closed, and what their paths begin with."""
    opened = bodies.open_json(body)
    if isinstance(opened, list):
        return opened, ""
    if "metrics" in opened:
        return bodies.items_of(opened["metrics"], "metrics"), "metrics."
    return [msgspec.Raw(body)], _ALONE


def _path(prefix: str, refused: Refused) -> str:
    if prefix == _ALONE:
        return refused.field or "body"
    return f"{prefix}{refused.index}" + (f".{refused.field}" if refused.field else "")


def _refuse_too_many(count: int) -> None:
    if count > MOST_SAMPLES:
        raise RequestEntityTooLarge(f"{count} samples; send at most {MOST_SAMPLES} in one request")


def _time(value: str | float | None) -> int:
    try:
        return times.parse_microseconds(value)
    except times.BadTime as error:
        raise NotStorable("invalid", "timestamp", str(error)) from None
