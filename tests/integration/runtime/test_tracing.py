"""A webhook's way through API, worker, database and model is one trace, told to an OTLP collector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sensus import logs, tracing
from sensus.settings import Settings
from tests.factories import alert, alertmanager_webhook
from tests.integration.runtime.test_run import running
from tests.ollama_server import OllamaServer
from tests.otlp import Collector, Told
from tests.stack import environment
from tests.waiting import wait_for

SERVER, CLIENT, CONSUMER = 2, 3, 5


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def model() -> Iterator[OllamaServer]:
    with OllamaServer(models=("llama2:latest",)) as server:
        yield server


@pytest.fixture
def settings(settings: Settings, collector: Collector, model: OllamaServer) -> Iterator[Settings]:
    """This process is an API that tells its spans, for the time of a test."""
    yield settings.model_copy(update={"otlp_endpoint": collector.url, "ollama_url": model.url})
    tracing.close()
    tracing.configure("", "")


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """Workers for incidents and for their analyses, each a process; they find what was sent before they are ready."""
    with ExitStack() as stack:
        for name in ("worker-maintenance", "worker-llm"):
            (tmp_path / name).mkdir()
            env = environment(
                SENSUS_DATA_DIR=str(tmp_path / name),
                SENSUS_DATABASE_URL=settings.require_database_url().replace("postgresql+psycopg", "postgresql"),
                SENSUS_REDIS_URL=settings.require_redis_url(),
                SENSUS_OLLAMA_URL=settings.ollama_url,
                SENSUS_OTLP_ENDPOINT=settings.otlp_endpoint,
                SENSUS_INCIDENT_SETTLE_S="0.1",
                OTEL_BSP_SCHEDULE_DELAY="200",
            )
            stack.enter_context(running(name, env))
        yield


def test_a_webhook_is_one_trace_from_its_request_to_the_models_answer(
    as_key: Callable[..., FlaskClient], workers: None, collector: Collector
) -> None:
    answer = as_key("write").post("/api/v1/alerts", json=alertmanager_webhook([alert("Traced")]))
    trace = answer.headers[logs.REQUEST_ID_HEADER]
    tracing.close()
    spans = wait_for(lambda: _explained(collector.of(trace)), "the workers' spans", timeout_s=90, every_s=1)
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans)
    (root,) = (span for span in spans if not span.parent)
    assert (root.service, root.name, root.kind) == ("sensus-web", "POST /api/v1/alerts", SERVER)
    assert (root.attributes["sensus.request_id"], root.attributes["http.response.status_code"]) == (trace, 202)
    # Connected: each span's parent was told too.
    assert all(span.parent in by_id for span in spans if span is not root)
    (work,) = (span for span in spans if span.name == "explain")
    assert (work.service, work.parent, work.kind) == ("sensus-worker", root.id, CONSUMER)
    (chat,) = (span for span in spans if span.name == "chat llama2")
    assert (chat.parent, chat.kind) == (work.id, CLIENT)
    assert chat.attributes["gen_ai.usage.output_tokens"] > 0
    for parent in (root, work):
        statements = [span for span in spans if span.parent == parent.id and "db.query.text" in span.attributes]
        assert statements, parent.name
        assert all(parent.began_ns <= span.began_ns <= span.ended_ns for span in statements)
    # Texts of statements have places for values; what came in is in none.
    assert not any("Traced" in str(span.attributes) for span in spans)
    # The message is a trace of its own, which the work is linked with.
    (knock,) = (span for span in collector.spans if span.id in work.links)
    assert (knock.name, knock.kind, knock.trace != trace) == ("tasks.analysis.analyse", CONSUMER, True)


def test_a_callers_own_span_is_linked_and_his_request_id_makes_the_trace(
    as_key: Callable[..., FlaskClient], client: FlaskClient, collector: Collector
) -> None:
    headers = {"X-Request-ID": "a-callers-own", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    assert as_key("read").get("/api/v1/alerts", headers=headers).headers["X-Request-ID"] == "a-callers-own"
    refused = client.get("/api/v1/alerts", headers={"X-Request-ID": "refused", "traceparent": "odd"})
    assert refused.status_code == 401
    client.get("/health/live")
    client.get("/metrics")
    tracing.close()
    first, second = (span for span in collector.spans if not span.parent)
    assert (first.attributes["sensus.request_id"], first.links) == ("a-callers-own", ("b" * 16,))
    assert first.trace != "a" * 32
    assert (second.attributes["sensus.request_id"], second.links, second.failed) == ("refused", (), False)
    assert second.attributes["http.response.status_code"] == 401


def _explained(spans: list[Told]) -> list[Told] | None:
    """The spans, once the explanation is among them and each has its parent."""
    from tasks import signatures

    # In place of beat: what has settled meanwhile is asked about.
    signatures.group()
    ids = {span.id for span in spans}
    complete = any(span.name == "explain" for span in spans) and all(
        not one.parent or one.parent in ids for one in spans
    )
    return spans if complete else None


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9"])
def test_only_who_asks_for_traces_loads_the_libraries(endpoint: str, servers: object) -> None:
    program = """
import json, sys
from sensus import tracing
import web.app, tasks.signals, tasks.analysis
tracing.configure(sys.argv[1], "a test")
span = tracing.begin_request("GET /", "some-id", traceparent=None)
with tracing.work_for("some-id", "work"), tracing.call("a server") as told:
    told["seen"] = True
tracing.note_statement("select", "SELECT 1", 0.1)
# The client of Redis loads a part of the SDK by itself, where it is installed.
ours = [name in sys.modules for name in ("sensus.spans", "opentelemetry.sdk.trace", "opentelemetry.exporter.otlp")]
print(json.dumps([span is not None, *ours]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, endpoint],
        env={**os.environ, "OTEL_BSP_EXPORT_TIMEOUT": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [bool(endpoint)] * 4
