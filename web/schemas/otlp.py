"""Samples as OpenTelemetry exports them: the numbers of gauges and sums, and how many points are none, and why."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache

import msgspec
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags, Metric, NumberDataPoint
from werkzeug.exceptions import RequestEntityTooLarge

from db.queries.series import REMEMBERED, SeriesKey
from sensus import times
from sensus.errors import Unreadable
from sensus.storable import NotStorable
from web.schemas.otlp_names import Kind, label_name, metric_name
from web.schemas.sample_rules import Pairs, Window, checked_key
from web.schemas.taken import MOST_SAMPLES, Taken

_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_NAME, _NAMESPACE, _INSTANCE = "service.name", "service.namespace", "service.instance.id"
# These name no place: they change with each start or deployment, and the series would begin anew.
_NOT_KEPT = ("telemetry.", "process.", "service.version", _NAME, _NAMESPACE, _INSTANCE)
_OTHERS = {"histogram", "exponential_histogram", "summary"}


def read_protobuf(body: bytes, received_at: datetime, *, retention_days: int) -> Taken:
    """The samples of a request in protobuf.  One odd point never costs its neighbours.

    Raises Unreadable when it is no such request, and RequestEntityTooLarge when it has too many points.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        raise Unreadable("the body is not an ExportMetricsServiceRequest") from None
    return _read(request, received_at, retention_days)


def read_json(body: bytes, received_at: datetime, *, retention_days: int) -> Taken:
    """The same of a request in JSON."""
    request = ExportMetricsServiceRequest()
    try:
        ParseDict(msgspec.json.decode(body, type=dict), request, ignore_unknown_fields=True)
    except (msgspec.DecodeError, ParseError, RecursionError, UnicodeDecodeError) as error:
        told = str(error).partition("\n")[0][:300]
        raise Unreadable(f"the body is not an ExportMetricsServiceRequest in JSON: {told}") from None
    return _read(request, received_at, retention_days)


def _read(request: ExportMetricsServiceRequest, received_at: datetime, retention_days: int) -> Taken:
    taken = Taken()
    window = Window.at(received_at, retention_days=retention_days)
    now = times.to_microseconds(received_at)
    # What is empty shrinks to next to nothing, and takes its time all the same.
    parts = len(request.resource_metrics)
    for of_resource in request.resource_metrics:
        parts += len(of_resource.scope_metrics)
        _refuse_too_many(parts)
        resource = _pairs(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            parts += len(of_scope.metrics)
            _refuse_too_many(parts)
            for metric in of_scope.metrics:
                _add_metric(taken, metric, resource, window, now)
    return taken


def _refuse_too_many(count: int) -> None:
    if count > MOST_SAMPLES:
        raise RequestEntityTooLarge(f"more than {MOST_SAMPLES} points or metrics; export fewer in one request")


def _add_metric(taken: Taken, metric: Metric, resource: Pairs, window: Window, now: int) -> None:
    which = metric.WhichOneof("data")
    if which == "gauge":
        _add_points(taken, metric, "gauge", metric.gauge.data_points, resource, window, now)
    elif which == "sum":
        kind: Kind = "counter" if metric.sum.is_monotonic else "sum"
        _add_points(taken, metric, kind, metric.sum.data_points, resource, window, now)
    elif which in _OTHERS:
        count = len(getattr(metric, which).data_points)
        taken.sent += count
        taken.refuse(NotStorable("kind", "data", f"a {which.replace('_', ' ')}; gauges and sums are stored"), count)


def _add_points(
    taken: Taken,
    metric: Metric,
    kind: Kind,
    points: Collection[NumberDataPoint],
    resource: Pairs,
    window: Window,
    now: int,
) -> None:
    taken.sent += len(points)
    _refuse_too_many(taken.sent)
    name, unit = metric.name, metric.unit
    for point in points:
        if point.flags & _NO_VALUE:
            taken.markers += 1
            continue
        try:
            key = _series(name, unit, kind, resource, _pairs(point.attributes))
            value = _value(point)
        except NotStorable as error:
            taken.refuse(error)
            continue
        # Zero is unknown.
        at = point.time_unix_nano // 1000 or now
        if window.oldest <= at <= window.newest and math.isfinite(value):
            taken.samples.add(taken.samples.place_of(key), at, value)
        else:
            taken.refuse_value(window, at, value)


def _value(point: NumberDataPoint) -> float:
    which = point.WhichOneof("value")
    if which is None:
        raise NotStorable("invalid", "value", "is missing")
    return point.as_double if which == "as_double" else float(point.as_int)


@lru_cache(maxsize=REMEMBERED)
def _series(name: str, unit: str, kind: Kind, resource: Pairs, attributes: Pairs) -> SeriesKey:
    """The series of a point.  Raises NotStorable."""
    labels = _labels(attributes)
    for label, value in _labels(pair for pair in resource if not pair[0].startswith(_NOT_KEPT)).items():
        labels.setdefault(label, value)
    of_service = dict(resource)
    if service := of_service.get(_NAME):
        namespace = of_service.get(_NAMESPACE)
        labels["job"] = f"{namespace}/{service}" if namespace else service
    if instance := of_service.get(_INSTANCE):
        labels["instance"] = instance
    return checked_key(metric_name(name, unit, kind), tuple(labels.items()))


def _labels(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The labels of attributes; two that fall together are put together, in the order of their names."""
    labels: dict[str, str] = {}
    for name, value in sorted(attributes):
        label = label_name(name)
        labels[label] = f"{labels[label]};{value}" if label in labels else value
    return labels


def _pairs(attributes: Iterable[KeyValue]) -> Pairs:
    return tuple((attribute.key, _text(attribute.value)) for attribute in attributes)


def _text(value: AnyValue) -> str:
    if text := value.string_value:
        return text
    which = value.WhichOneof("value")
    if which == "bool_value":
        return "true" if value.bool_value else "false"
    if which in ("int_value", "double_value"):
        return repr(getattr(value, which))
    if which in ("array_value", "kvlist_value", "bytes_value"):
        found = _plain(value)
        return found if isinstance(found, str) else msgspec.json.encode(found).decode()
    return ""


def _plain(value: AnyValue) -> object:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: _plain(item.value) for item in value.kvlist_value.values}
    if which == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return None if which is None else getattr(value, which)
