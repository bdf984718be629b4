"""POST /api/v1/write: what Prometheus writes is stored, and nothing makes it throw away or repeat a request in vain."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cramjam
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.models import Series
from sensus.settings import Settings
from tests.factories import STALE_MARKER, in_snappy, write_request
from web.app import create_app
from web.resources import resources
from web.wire.remote_write_pb2 import WriteRequest

CAPTURES = Path(__file__).parent.parent.parent / "data" / "remote-write"
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "Prometheus/2.42.0",
}
UP = {"__name__": "up", "instance": "db-1:9100", "job": "node"}


def send(client: FlaskClient, message: bytes, expected: int = 204, headers: Mapping[str, str] | None = None) -> Any:
    answer = client.post("/api/v1/write", data=in_snappy(message), headers={**HEADERS, **(headers or {})})
    assert answer.status_code == expected, answer.text
    return answer


def written(answer: Any) -> int:
    return int(answer.headers["X-Prometheus-Remote-Write-Samples-Written"])


def stored(session: Session) -> list[tuple[str, list[tuple[str, str]], float, float]]:
    query = text(
        "SELECT metric_name, labels, extract(epoch FROM timestamp)::float8 AS at, metric_value FROM metrics "
        "ORDER BY metric_name, labels, timestamp"
    )
    return [(row.metric_name, sorted(row.labels.items()), row.at, row.metric_value) for row in session.execute(query)]


def now() -> float:
    """A present time that has whole milliseconds, as Prometheus writes it."""
    return round(time.time(), 3)


def counter(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize("name", ["samples", "stale"])
def test_what_a_real_prometheus_wrote_is_stored_sample_by_sample(
    writer: FlaskClient, session: Session, name: str
) -> None:
    told = json.loads((CAPTURES / f"{name}.json").read_text())
    captured = cramjam.snappy.decompress_raw((CAPTURES / f"{name}.snappy.bin").read_bytes())
    request = WriteRequest.FromString(bytes(captured))
    # The capture grows old; the same messages, all moved to the present.
    shift_ms = int(now() * 1000) - max(sample.timestamp for series in request.timeseries for sample in series.samples)
    for series in request.timeseries:
        for sample in series.samples:
            sample.timestamp += shift_ms
    headers = {
        name: value for name, value in told["headers"] if name not in ("Host", "Content-Length", "Authorization")
    }
    answer = send(writer, request.SerializeToString(), headers=headers)
    assert written(answer) == 25
    expected = [
        (
            series["labels"].pop("__name__"),
            sorted(series["labels"].items()),
            (sample["timestamp_ms"] + shift_ms) / 1000,
            sample["value"],
        )
        for series in told["decoded"]["timeseries"]
        for sample in series["samples"]
        if sample["value"] != "StaleNaN"
    ]
    assert len(expected) == {"samples": 25, "stale": 24}[name]
    assert sorted(stored(session)) == sorted(expected)


def test_metadata_are_taken_and_not_kept(writer: FlaskClient, session: Session) -> None:
    body = (CAPTURES / "metadata.snappy.bin").read_bytes()
    assert writer.post("/api/v1/write", data=body, headers=HEADERS).status_code == 204
    assert session.scalar(select(func.count(Series.id))) == 0


def test_a_request_that_is_repeated_is_stored_once(writer: FlaskClient, session: Session) -> None:
    message = write_request([(UP, [(now() - 15, 1.0), (now(), 2.0)])])
    for _ in range(3):
        assert written(send(writer, message)) == 2
    assert [value for *_, value in stored(session)] == [1.0, 2.0]


def test_samples_out_of_order_are_stored(writer: FlaskClient, session: Session) -> None:
    at = now()
    send(writer, write_request([(UP, [(at, 3.0)])]))
    send(writer, write_request([(UP, [(at - 30, 1.0), (at - 60, 0.0), (at - 15, 2.0)])]))
    assert [value for *_, value in stored(session)] == [0.0, 1.0, 2.0, 3.0]


def test_a_series_is_one_whichever_door_it_comes_by(writer: FlaskClient, session: Session) -> None:
    at = now()
    send(writer, write_request([(UP, [(at, 1.0)])]))
    labels = {name: value for name, value in UP.items() if name != "__name__"}
    sample = {"metric_name": "up", "metric_value": 0.0, "labels": labels, "timestamp": at - 15}
    assert writer.post("/api/v1/metrics", json=sample).status_code == 202
    # Labels in another order, and an empty one, which to Prometheus is none.
    send(writer, write_request([({**dict(reversed(UP.items())), "empty": ""}, [(at - 30, 2.0)])]))
    assert session.scalar(select(func.count(Series.id))) == 1
    assert len(stored(session)) == 3


def test_a_staleness_marker_is_no_sample_and_makes_no_series(writer: FlaskClient, session: Session) -> None:
    before = counter("sensus_staleness_markers_total")
    other = {**UP, "instance": "gone"}
    answer = send(
        writer, write_request([(UP, [(now() - 15, 1.0), (now(), STALE_MARKER)]), (other, [(now(), STALE_MARKER)])])
    )
    assert written(answer) == 3
    assert [value for *_, value in stored(session)] == [1.0]
    assert session.scalar(select(func.count(Series.id))) == 1
    assert counter("sensus_staleness_markers_total") - before == 2


def test_what_can_never_be_stored_is_counted_and_its_neighbours_are_stored(
    writer: FlaskClient, session: Session
) -> None:
    at = now()
    refused = {
        "not_finite": [(at, math.nan), (at, math.inf), (at, -math.inf)],
        "too_old": [(at - 200 * 86_400, 1.0), (-1.0, 1.0)],
        "too_far_ahead": [(at + 3_600, 1.0), (9e15, 1.0)],
    }
    before = {reason: counter("sensus_samples_refused_total", reason=reason) for reason in (*refused, "invalid")}
    odd = [
        {"instance": "without a name"},
        {"__name__": ""},
        {"__name__": "x" * 201},
        {"__name__": "nul", "a": "b\0c"},
        {"__name__": "long", "a": "b" * 3_000},
        {"__name__": "many", **{f"l{number}": "v" for number in range(200)}},
    ]
    message = write_request(
        [
            *((labels, [(at, 1.0)]) for labels in odd),
            (UP, [(at - 15, 1.0), *(point for points in refused.values() for point in points), (at, 2.0)]),
        ]
    )
    assert written(send(writer, message)) == 2
    assert [value for *_, value in stored(session)] == [1.0, 2.0]
    for reason, points in refused.items():
        assert counter("sensus_samples_refused_total", reason=reason) - before[reason] == len(points)
    assert counter("sensus_samples_refused_total", reason="invalid") - before["invalid"] == len(odd)


def test_a_label_that_is_none_costs_only_its_series(writer: FlaskClient, session: Session) -> None:
    request = WriteRequest.FromString(write_request([(UP, [(now(), 1.0)])] * 4))
    del request.timeseries[3].labels[:]
    request.timeseries[0].labels.append(b"\xff\xff")
    request.timeseries[1].labels.append(b"\x0a\x01\xff")  # not UTF-8
    request.timeseries[3].labels.extend([*request.timeseries[2].labels, request.timeseries[2].labels[1]])
    assert written(send(writer, request.SerializeToString())) == 1
    assert len(stored(session)) == 1


def test_native_histograms_and_exemplars_are_counted_and_not_kept(writer: FlaskClient, session: Session) -> None:
    before = counter("sensus_samples_ignored_total", kind="histogram")
    answer = send(writer, write_request([(UP, [(now(), 1.0)]), (UP, [])], histograms=2, exemplars=1))
    assert written(answer) == 1
    assert answer.headers["X-Prometheus-Remote-Write-Histograms-Written"] == "0"
    assert counter("sensus_samples_ignored_total", kind="histogram") - before == 4
    assert len(stored(session)) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no snappy at all", 400),
        (in_snappy(b"\x0a\xff"), 400),  # a field that ends after the message
        (in_snappy(write_request([(UP, [(1.0, 1.0)])]))[:-3], 400),
        (in_snappy(b"\0" * 100), 400),
        (in_snappy(bytes(17 * 1024 * 1024)), 413),
        (b"\xff\xff\xff\xff\x0f" + b"\0" * 20, 413),  # says that it has 4 GB
        (b"\0" * (5 * 1024 * 1024), 413),
        (in_snappy(write_request([(UP, [(1.0, 1.0)] * 50_001)])), 413),
        (in_snappy(b"\x0a\x00" * 1_000_000), 413),
    ],
    ids=["empty", "no snappy", "no protobuf", "cut off", "zeroes", "bomb", "lie", "large", "many", "empty ones"],
)
def test_what_no_repetition_mends_is_refused_for_good(
    writer: FlaskClient, session: Session, body: bytes, status: int
) -> None:
    answer = writer.post("/api/v1/write", data=body, headers=HEADERS)
    assert answer.status_code == status, answer.text
    assert answer.get_json()["code"] == status
    assert stored(session) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/x-protobuf;proto=prometheus.WriteRequest"}, 204),
        ({"Content-Type": ""}, 204),
        ({"Content-Encoding": ""}, 204),
        ({"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "zstd"}, 415),
    ],
)
def test_another_protocol_is_415_so_that_the_sender_falls_back(
    writer: FlaskClient, headers: dict[str, str], status: int
) -> None:
    answer = send(writer, write_request([(UP, [(now(), 1.0)])]), status, headers)
    if status == 415:
        assert "snappy" in answer.text or "remote write 1.0" in answer.text


def test_it_needs_the_scope_write(client: FlaskClient, as_key: Callable[..., FlaskClient]) -> None:
    message = write_request([(UP, [(now(), 1.0)])])
    send(client, message, 401)
    send(as_key("read"), message, 403)
    basic = {"Authorization": ""}
    send(as_key("write"), message, 401, basic)


def test_over_the_limit_prometheus_gets_503_and_others_429(as_key: Callable[..., FlaskClient]) -> None:
    limited = as_key("write", rate=1)
    body = in_snappy(write_request([(UP, [(now(), 1.0)])]))
    for agent, status in (("Prometheus/2.42.0", 503), ("vmagent", 429)):
        # A Redis that is slow for once lets the counting begin anew, in memory.
        answers = [limited.post("/api/v1/write", data=body, headers={**HEADERS, "User-Agent": agent}) for _ in range(4)]
        assert {answer.status_code for answer in answers} <= {204, status}
        assert answers[-1].status_code == status
        assert answers[-1].headers["Retry-After"]


def test_without_the_database_the_answer_is_503(
    settings: Settings, as_key: Callable[..., FlaskClient], app: Flask
) -> None:
    writer = as_key("write")
    message = write_request([(UP, [(now(), 1.0)])])
    send(writer, message)
    with app.app_context():
        engine = resources().database.engine
    engine.dispose()
    away = create_app(settings.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:9/none")}))
    client = away.test_client()
    client.environ_base.update(writer.environ_base)
    answer = send(client, message, 503)
    assert answer.headers["Retry-After"]
    with away.app_context():
        resources().close()


def test_a_write_leaves_a_receipt_in_the_stream(app: Flask, writer: FlaskClient, redis_client: Any) -> None:
    send(writer, write_request([(UP, [(now(), 1.0), (now() - 1, math.nan), (now() - 2, STALE_MARKER)])]))
    with app.app_context():
        assert resources().background.settle()
    ((_, entry),) = redis_client.xrange("metrics:raw")
    assert entry["type"] == "metric"
    told = json.loads(entry["data"])
    assert (told["accepted"], told["rejected"], told["markers"], told["series"]) == (1, 1, 1, 1)
