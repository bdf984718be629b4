"""Names of OpenTelemetry become those of Prometheus, so that a metric that is also scraped has one name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.schemas.otlp_names import Kind, label_name, metric_name

KINDS: tuple[Kind, ...] = ("gauge", "counter", "sum")


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "gauge", "http_server_request_duration_seconds"),
        ("system.filesystem.usage", "By", "sum", "system_filesystem_usage_bytes"),
        ("system.disk.io", "By", "counter", "system_disk_io_bytes_total"),
        ("system.memory.utilization", "1", "gauge", "system_memory_utilization_ratio"),
        ("jobs.done", "1", "counter", "jobs_done_total"),
        ("jobs_total", "", "counter", "jobs_total"),
        ("system.network.dropped", "{packets}", "counter", "system_network_dropped_total"),
        ("system.network.dropped", "packets", "sum", "system_network_dropped_packets"),
        ("network.io", "By/s", "gauge", "network_io_bytes_per_second"),
        ("requests", "{request}/min", "gauge", "requests_per_min"),
        ("requests", "{request}/m", "gauge", "requests_per_minute"),
        ("request.duration.seconds", "s", "gauge", "request_duration_seconds"),
        ("(lambda).function.executions(#)", "", "gauge", "lambda_function_executions"),
        ("2xx.responses", "", "gauge", "_2xx_responses"),
        ("cpu:load", "", "gauge", "cpu:load"),
        ("temperature", "Cel", "gauge", "temperature_celsius"),
        ("weight", "kg.m", "gauge", "weight_kg_m"),
    ],
)
def test_metrics_have_the_names_that_the_convention_gives(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert metric_name(name, unit, kind) == expected


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [("http.method", "http_method"), ("4xx", "key_4xx"), ("a--b", "a_b"), ("region", "region"), ("_x", "_x")],
)
def test_attributes_have_the_names_that_the_convention_gives(attribute: str, expected: str) -> None:
    assert label_name(attribute) == expected


@given(st.text(max_size=30), st.text(max_size=10), st.sampled_from(KINDS))
def test_any_name_becomes_one_that_prometheus_takes(name: str, unit: str, kind: Kind) -> None:
    assert re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?", metric_name(name, unit, kind))
    assert re.fullmatch(r"([a-zA-Z_][a-zA-Z0-9_]*)?", label_name(name))
