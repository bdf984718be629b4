"""Requests of senders, and rows, as tests need them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import cramjam

from web.wire.remote_write_pb2 import Label, Sample, WriteRequest

NO_END = "0001-01-01T00:00:00Z"
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def alert(
    name: str | None = "DiskFull",
    *,
    status: str | None = "firing",
    starts_at: datetime | str | None = START,
    ends_at: datetime | str | None = None,
    labels: Mapping[str, Any] | None = None,
    annotations: Mapping[str, Any] | None = None,
    **further: Any,
) -> dict[str, Any]:
    """One alert as Alertmanager sends it; None leaves a field out."""
    if ends_at is None and status == "resolved" and isinstance(starts_at, datetime):
        ends_at = starts_at + timedelta(minutes=5)
    fields: dict[str, Any] = {
        "status": status,
        "labels": {**({"alertname": name} if name is not None else {}), "instance": "db-1:9100", **(labels or {})},
        "annotations": {"summary": "something is wrong"} if annotations is None else dict(annotations),
        "startsAt": _text(starts_at),
        "endsAt": _text(ends_at) if ends_at is not None else NO_END,
        "generatorURL": "http://prometheus:9090/graph",
        **further,
    }
    return {field: value for field, value in fields.items() if value is not None}


def alertmanager_webhook(alerts: int | Sequence[Any] = 1, *, status: str = "firing", **further: Any) -> dict[str, Any]:
    """A webhook of Alertmanager, version 4, with these alerts or so many different ones."""
    if isinstance(alerts, int):
        alerts = [alert(status=status, labels={"mountpoint": f"/disk{number}"}) for number in range(alerts)]
    return {
        "receiver": "sensus",
        "status": status,
        "alerts": list(alerts),
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {"alertname": "DiskFull"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
        **further,
    }


def samples(
    values: Sequence[float] | int = 3,
    *,
    name: str = "node_load1",
    labels: Mapping[str, str] | None = None,
    start: datetime | None = None,
    step_s: float = 15.0,
) -> list[dict[str, Any]]:
    """Samples of one series, the last of them of just now unless `start` is given."""
    if isinstance(values, int):
        values = [float(number) for number in range(values)]
    if start is None:
        start = datetime.now(UTC) - timedelta(seconds=step_s * len(values))
    return [
        {
            "metric_name": name,
            "metric_value": value,
            "labels": dict(labels if labels is not None else {"instance": "db-1:9100"}),
            "timestamp": (start + timedelta(seconds=step_s * number)).isoformat(),
        }
        for number, value in enumerate(values)
    ]


def _text(at: datetime | str | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if isinstance(at, datetime) else at


Points = Sequence[tuple[float, float]]
STALE_MARKER = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def write_request(series: Sequence[tuple[Mapping[str, str], Points]], **ignored: int) -> bytes:
    """A remote_write message: of each series its labels and its (Unix seconds, value); `exemplars=1` adds such."""
    request = WriteRequest()
    for labels, points in series:
        request.timeseries.add(
            labels=[Label(name=name, value=value).SerializeToString() for name, value in labels.items()],
            samples=[Sample(value=value, timestamp=round(at * 1000)) for at, value in points],
            **{kind: [b"\x0a\x00"] * count for kind, count in ignored.items()},
        )
    return request.SerializeToString()


def in_snappy(message: bytes) -> bytes:
    """The body of a remote_write request."""
    return bytes(cramjam.snappy.compress_raw(message))
