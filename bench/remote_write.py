"""Samples as Prometheus writes them: remote write 1.0, as protobuf under snappy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cramjam

from bench.copying import Row
from bench.load import Answer
from bench.samples import Wire, labels, metric_name
from web.wire.remote_write_pb2 import Label, Sample, TimeSeries, WriteRequest


def _remote_write(run: str, rows: Sequence[Row]) -> bytes:
    series = [
        TimeSeries(labels=_labels_on_the_wire(run, number), samples=[Sample(value=value, timestamp=at * 1000)])
        for number, at, value in rows
    ]
    return bytes(cramjam.snappy.compress_raw(WriteRequest(timeseries=series).SerializeToString()))


@lru_cache(maxsize=20_000)
def _labels_on_the_wire(run: str, number: int) -> tuple[bytes, ...]:
    pairs = sorted({"__name__": metric_name(number), **labels(run, number)}.items())
    return tuple(Label(name=name, value=value).SerializeToString() for name, value in pairs)


def _all(answer: Answer) -> int:
    # There is no receipt: a success says that everything is kept.
    return answer.request.items


REMOTE_WRITE = Wire(
    "/api/v1/write",
    {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "User-Agent": "Prometheus/3.7.3",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    },
    _remote_write,
    _all,
)
