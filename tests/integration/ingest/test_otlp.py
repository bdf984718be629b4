"""POST /v1/metrics: OpenTelemetry's own exporter is understood, and told what is not stored."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from sensus.settings import Settings
from tests.conftest import MakeKey
from web.app import create_app
from web.resources import resources
from web.wire.rpc_status_pb2 import Status

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


def export(*values: float, name: str = "queue.length", histogram: bool = False) -> ExportMetricsServiceRequest:
    """A gauge with these values, a second apart and the last of now."""
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    gauge = metrics.add(name=name).gauge
    for age_s, value in enumerate(reversed(values)):
        gauge.data_points.add(time_unix_nano=time.time_ns() - age_s * 1_000_000_000, as_double=value)
    if histogram:
        metrics.add(name="latency").histogram.data_points.add(time_unix_nano=time.time_ns())
    return request


def send(
    client: FlaskClient,
    body: bytes | ExportMetricsServiceRequest,
    expected: int = 200,
    kind: str = PROTOBUF,
    **headers: str,
) -> Any:
    content = body if isinstance(body, bytes) else body.SerializeToString()
    sent = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = client.post("/v1/metrics", data=content, headers=sent)
    assert answer.status_code == expected, answer.get_data()
    assert answer.content_type == (PROTOBUF if kind == PROTOBUF else JSON)
    return answer


def partial(answer: Any) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(ExportMetricsServiceResponse.FromString(answer.get_data()))
    return told.get("partialSuccess", {})


def stored(session: Session) -> list[tuple[str, dict[str, str], float]]:
    query = text("SELECT metric_name, labels, metric_value FROM metrics ORDER BY metric_name, timestamp")
    return [(row.metric_name, row.labels, row.metric_value) for row in session.execute(query)]


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The application behind a real socket."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_the_official_exporter_is_understood(
    address: str, key: MakeKey, session: Session, compression: Compression, temporality: AggregationTemporality
) -> None:
    exporter = OTLPMetricExporter(
        endpoint=f"{address}/v1/metrics",
        headers={"Authorization": f"Bearer {key('write')}"},
        compression=compression,
        preferred_temporality={Counter: temporality},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    resource = Resource({"service.name": "cart", "service.namespace": "shop", "service.instance.id": "cart-1"})
    provider = MeterProvider([reader], resource=resource)
    meter = provider.get_meter("test")
    orders = meter.create_counter("orders", unit="{order}")
    depth = meter.create_gauge("queue.depth", unit="1")
    used = meter.create_up_down_counter("disk.used", unit="By")
    meter.create_histogram("latency", unit="s").record(0.2)
    for count in (3, 4):
        orders.add(count, {"payment.method": "card"})
        depth.set(count / 10)
        used.add(count)
        assert provider.force_flush()
    provider.shutdown()
    place = {"job": "shop/cart", "instance": "cart-1"}
    found = stored(session)
    sums = [3.0, 7.0] if temporality is AggregationTemporality.CUMULATIVE else [3.0, 4.0]
    # The last export is that of the shutdown.
    assert [sample for sample in found if sample[0] == "orders_total"][:2] == [
        ("orders_total", {**place, "payment_method": "card"}, value) for value in sums
    ]
    assert [sample for sample in found if sample[0] == "queue_depth_ratio"][:2] == [
        ("queue_depth_ratio", place, 0.3),
        ("queue_depth_ratio", place, 0.4),
    ]
    assert [sample for sample in found if sample[0] == "disk_used_bytes"][:2] == [
        ("disk_used_bytes", place, 3.0),
        ("disk_used_bytes", place, 7.0),
    ]
    assert {sample[0] for sample in found} == {"orders_total", "queue_depth_ratio", "disk_used_bytes"}


def test_json_is_answered_in_json(writer: FlaskClient, session: Session) -> None:
    body = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "orders",
                                "sum": {
                                    "isMonotonic": True,
                                    "aggregationTemporality": 2,
                                    "dataPoints": [{"asInt": "7", "timeUnixNano": str(time.time_ns())}],
                                    "aFieldOfTheFuture": 1,
                                },
                            },
                            {"name": "latency", "summary": {"dataPoints": [{}, {}]}},
                        ]
                    }
                ],
            }
        ]
    }
    answer = send(writer, json.dumps(body).encode(), kind=JSON)
    told = answer.get_json()["partialSuccess"]
    assert told["rejectedDataPoints"] == "2"
    assert "summary" in told["errorMessage"]
    assert stored(session) == [("orders_total", {"job": "cart"}, 7.0)]


def test_a_full_success_says_nothing(writer: FlaskClient, session: Session) -> None:
    answer = send(writer, export(1.0, 2.0))
    assert answer.get_data() == b""
    again = send(writer, gzip.compress(export(3.0).SerializeToString()), Content_Encoding="gzip")
    assert again.get_data() == b""
    assert send(writer, b"").get_data() == b""
    assert send(writer, b"{}", kind=JSON).get_json() == {}
    assert [value for *_, value in stored(session)] == [1.0, 2.0, 3.0]


def test_what_is_not_stored_is_told_of(writer: FlaskClient, session: Session) -> None:
    before = REGISTRY.get_sample_value("sensus_samples_refused_total", {"reason": "kind"}) or 0.0
    told = partial(send(writer, export(float("nan"), 1.0, histogram=True)))
    assert told["rejectedDataPoints"] == "2"
    assert "histogram" in told["errorMessage"]
    assert "nan" in told["errorMessage"]
    assert len(stored(session)) == 1
    assert REGISTRY.get_sample_value("sensus_samples_refused_total", {"reason": "kind"}) == before + 1


def test_new_series_beyond_the_allowance_are_told_of(settings: Settings, as_key: Callable[..., FlaskClient]) -> None:
    headers = as_key("write").environ_base
    app = create_app(settings.model_copy(update={"new_series_per_hour": 1}))
    client = app.test_client()
    client.environ_base.update(headers)
    assert partial(send(client, export(1.0))) == {}
    told = partial(send(client, export(1.0, 2.0, name="other")))
    assert told["rejectedDataPoints"] == "2"
    assert "SENSUS_NEW_SERIES_PER_HOUR" in told["errorMessage"]
    assert partial(send(client, export(2.0))) == {}
    with app.app_context():
        resources().close()


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        (b"\xff\xff", PROTOBUF, {}, 400),
        (b"{", JSON, {}, 400),
        (b"[]", JSON, {}, 400),
        (b"", JSON, {}, 400),
        (b"no gzip", PROTOBUF, {"Content_Encoding": "gzip"}, 400),
        (b"", PROTOBUF, {"Content_Encoding": "zstd"}, 415),
        (b"", "text/plain", {}, 415),
        (gzip.compress(bytes(20_000_000)), PROTOBUF, {"Content_Encoding": "gzip"}, 413),
        (bytes(5_000_000), PROTOBUF, {}, 413),
        (b"", PROTOBUF, {"Authorization": "Bearer nobody"}, 401),
    ],
)
def test_a_refusal_is_a_status_in_the_encoding_of_the_request(
    writer: FlaskClient, body: bytes, kind: str, headers: dict[str, str], status: int
) -> None:
    answer = send(writer, body, status, kind, **headers)
    if kind == PROTOBUF:
        assert Status.FromString(answer.get_data()).message
    else:
        assert answer.get_json()["message"]
        assert answer.get_json()["code"] == status


def test_it_needs_the_scope_write_and_has_a_limit(as_key: Callable[..., FlaskClient]) -> None:
    send(as_key("read"), export(1.0), 403)
    limited = as_key("write", rate=1)
    # A Redis that is slow for once lets the counting begin anew, in memory.
    for _ in range(3):
        limited.post("/v1/metrics", data=export(1.0).SerializeToString(), headers={"Content-Type": PROTOBUF})
    refused = send(limited, export(1.0), 429)
    assert refused.headers["Retry-After"]
    assert "too many requests" in Status.FromString(refused.get_data()).message


def test_without_the_database_the_exporter_is_told_to_try_again(
    settings: Settings, as_key: Callable[..., FlaskClient]
) -> None:
    writer = as_key("write")
    send(writer, export(1.0))
    away = create_app(settings.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:9/none")}))
    client = away.test_client()
    client.environ_base.update(writer.environ_base)
    answer = send(client, export(1.0), HTTPStatus.SERVICE_UNAVAILABLE)
    assert answer.headers["Retry-After"]
    assert Status.FromString(answer.get_data()).message
    with away.app_context():
        resources().close()
