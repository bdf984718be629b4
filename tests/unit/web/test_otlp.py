"""Reading OTLP: protobuf and JSON say the same, and no bytes at all surprise it."""

from __future__ import annotations

import gzip
import math

import msgspec
import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ScopeMetrics, SummaryDataPoint
from werkzeug.exceptions import RequestEntityTooLarge

from sensus import times
from sensus.errors import Unreadable
from web import compressed
from web.schemas import otlp
from web.schemas.taken import Taken

NOW = times.parse("2026-11-24T12:00:00Z")
NOW_NS = times.to_microseconds(NOW) * 1000


def export(**attributes: AnyValue | str) -> ExportMetricsServiceRequest:
    """One point of now, of a gauge `load`, with these attributes of its resource."""
    request = ExportMetricsServiceRequest()
    of_resource = request.resource_metrics.add()
    for name, value in attributes.items():
        given_value = AnyValue(string_value=value) if isinstance(value, str) else value
        of_resource.resource.attributes.append(KeyValue(key=name.replace("__", "."), value=given_value))
    metric = of_resource.scope_metrics.add().metrics.add(name="load")
    metric.gauge.data_points.add(time_unix_nano=NOW_NS, as_double=1.5)
    return request


def read(request: ExportMetricsServiceRequest) -> Taken:
    in_protobuf = otlp.read_protobuf(request.SerializeToString(), NOW, retention_days=90)
    in_json = otlp.read_json(MessageToJson(request).encode(), NOW, retention_days=90)
    assert in_protobuf == in_json
    return in_protobuf


def labels(**attributes: AnyValue | str) -> dict[str, str]:
    return dict(read(export(**attributes)).samples.keys[0].labels)


def test_a_service_is_a_job_and_its_instance_an_instance() -> None:
    assert labels(service__name="cart") == {"job": "cart"}
    assert labels(service__name="cart", service__namespace="shop", service__instance__id="cart-1") == {
        "job": "shop/cart",
        "instance": "cart-1",
    }


def test_what_names_a_place_is_a_label_and_what_changes_with_each_start_is_none() -> None:
    assert labels(host__name="db-1", telemetry__sdk__name="x", process__pid="1", service__version="2") == {
        "host_name": "db-1"
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (AnyValue(bool_value=True), "true"),
        (AnyValue(bool_value=False), "false"),
        (AnyValue(int_value=-7), "-7"),
        (AnyValue(double_value=0.5), "0.5"),
        (AnyValue(bytes_value=b"\0\xff"), "AP8="),
        (AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a"), AnyValue(int_value=1)])), '["a",1]'),
        (
            AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="a", value=AnyValue(bool_value=True))])),
            '{"a":true}',
        ),
    ],
)
def test_any_attribute_has_a_text(value: AnyValue, text: str) -> None:
    assert labels(a=value) == {"a": text}


def test_attributes_of_a_point_come_before_those_of_its_resource() -> None:
    request = export(zone="resource", service__name="cart")
    (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    for name, value in (("zone", "point"), ("job", "no job"), ("a.b", "2"), ("a_b", "1")):
        point.attributes.append(KeyValue(key=name, value=AnyValue(string_value=value)))
    assert dict(read(request).samples.keys[0].labels) == {"zone": "point", "job": "cart", "a_b": "2;1"}


def test_a_point_without_time_is_of_now_and_one_without_value_is_refused() -> None:
    request = export()
    points = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    points[0].time_unix_nano = 0
    points.add(time_unix_nano=NOW_NS)
    points.add(time_unix_nano=NOW_NS, flags=1)
    points.add(time_unix_nano=NOW_NS + 1_000_000, as_int=7)
    points.add(time_unix_nano=NOW_NS, as_double=math.nan)
    taken = read(request)
    assert taken.samples.times == [NOW_NS // 1000, NOW_NS // 1000 + 1000]
    assert taken.samples.values == [1.5, 7.0]
    assert taken.markers == 1
    assert dict(taken.refused) == {"invalid": 1, "not_finite": 1}
    assert taken.sent == 5


def test_histograms_and_summaries_are_refused_by_the_point() -> None:
    request = export()
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    metrics.add(name="h").histogram.data_points.add()
    metrics.add(name="e").exponential_histogram.data_points.add()
    metrics.add(name="s").summary.data_points.extend([SummaryDataPoint()] * 2)
    metrics.add(name="nothing")
    taken = read(request)
    assert (taken.sent, len(taken.samples), dict(taken.refused)) == (5, 1, {"kind": 4})


def test_sums_are_kept_as_sent() -> None:
    request = export()
    metric = request.resource_metrics[0].scope_metrics[0].metrics.add(name="jobs", unit="1")
    metric.sum.is_monotonic = True
    for temporality, value in ((2, 10), (1, 3)):
        metric.sum.aggregation_temporality = temporality  # type: ignore[assignment]
        metric.sum.data_points.add(time_unix_nano=NOW_NS + value, as_int=value)
    taken = read(request)
    assert [key.metric_name for key in taken.samples.keys] == ["load", "jobs_total"]
    assert taken.samples.values == [1.5, 10.0, 3.0]


def test_too_many_points_are_too_many_and_so_are_too_many_empty_things() -> None:
    resource = export().resource_metrics[0]
    scope = resource.scope_metrics[0]
    metric = scope.metrics[0]
    for many, one in (
        (metric.gauge.data_points, NumberDataPoint()),
        (scope.metrics, Metric()),
        (resource.scope_metrics, ScopeMetrics()),
    ):
        many.extend([one] * 50_000)  # type: ignore[attr-defined]
        request = ExportMetricsServiceRequest(resource_metrics=[resource])
        with pytest.raises(RequestEntityTooLarge):
            otlp.read_protobuf(request.SerializeToString(), NOW, retention_days=90)
        del many[1:]  # type: ignore[attr-defined]
    with pytest.raises(RequestEntityTooLarge):
        otlp.read_protobuf(b"\x0a\x00" * 50_001, NOW, retention_days=90)


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(noise: bytes) -> None:
    for body in (noise, export().SerializeToString() + noise):
        try:
            taken = otlp.read_protobuf(body, NOW, retention_days=90)
        except Unreadable:
            continue
        assert taken.sent == len(taken.samples) + taken.markers + taken.refused.total()


FIELDS = (
    *("resourceMetrics", "resource", "attributes", "scopeMetrics", "metrics", "gauge", "sum", "dataPoints", "flags"),
    *("key", "value", "stringValue", "arrayValue", "values", "asInt", "asDouble", "timeUnixNano"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(content: object) -> None:
    for wrapped in (
        content,
        {"resourceMetrics": content},
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "gauge": {"dataPoints": content}}]}]}]},
    ):
        try:
            otlp.read_json(msgspec.json.encode(wrapped), NOW, retention_days=90)
        except Unreadable:
            continue


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"resourceMetrics": 5}', b"[" * 100_000, b'{"a": NaN}'])
def test_bad_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        otlp.read_json(body, NOW, retention_days=90)


def test_gzip_is_unpacked_no_further_than_it_may() -> None:
    assert compressed.gunzipped(gzip.compress(bytes(1000)), most=1000) == bytes(1000)
    with pytest.raises(RequestEntityTooLarge):
        compressed.gunzipped(gzip.compress(bytes(10_000_000)), most=1000)
    for bad in (b"no gzip", gzip.compress(bytes(1000))[:-4]):
        with pytest.raises(Unreadable):
            compressed.gunzipped(bad, most=100_000)
