"""Too much at once: whoever can't be served soon is told so soon, and what was accepted is there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.models import Alert
from db.session import POOL_MOST, Database
from sensus import overload
from sensus.runtime import ports
from sensus.settings import Settings
from tests.conftest import MakeKey
from tests.factories import alertmanager_webhook
from tests.waiting import wait_for
from web.errors import RETRY_AFTER_S
from web.resources import resources

THREADS = 2


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The API behind gunicorn with one process of few threads; its address."""
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    port = ports.choose(0, "a test")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SENSUS_")},
        "SENSUS_DATABASE_URL": settings.database_url.get_secret_value(),
        "SENSUS_REDIS_URL": settings.require_redis_url(),
        "SENSUS_JWT_SECRET": settings.jwt_secret.get_secret_value(),
    }
    command = [
        *(sys.executable, "-m", "gunicorn", "--config=python:sensus.runtime.gunicorn_conf"),
        *(f"--bind=127.0.0.1:{port}", "--workers=1", f"--threads={THREADS}", "web.wsgi:app"),
    ]
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: _status(f"{address}/health/ready") == 200, "the API is ready")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def test_when_all_threads_are_busy_new_requests_are_refused_at_once(
    served: str, key: MakeKey, database: Database, session: Session
) -> None:
    headers = {"Authorization": f"Bearer {key('write')}", "User-Agent": "Alertmanager/0.25.0"}

    def post(number: int) -> httpx.Response:
        webhook = alertmanager_webhook(1, groupKey=str(number))
        webhook["alerts"][0]["labels"]["number"] = str(number)
        return httpx.post(f"{served}/api/v1/alerts", json=webhook, headers=headers, timeout=30)

    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'relation' AND datname = current_database()"
    )
    assert post(0).status_code == 202
    with ThreadPoolExecutor(THREADS + 1) as senders:
        with database.transaction() as someone:
            someone.execute(text("LOCK TABLE alerts IN EXCLUSIVE MODE"))
            held = [senders.submit(post, number) for number in range(1, THREADS + 2)]
            wait_for(lambda: session.scalar(waiting) == THREADS, "all threads wait for the table")
            refused = wait_for(lambda: _refusal(f"{served}/api/v1/alerts"), "a request is refused")
        answers = [each.result() for each in held]
    assert refused.headers["Retry-After"] == str(RETRY_AFTER_S)
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    accepted = sum(answer.status_code == 202 for answer in answers)
    assert {answer.status_code for answer in answers} <= {202, 503}
    assert accepted >= THREADS
    assert session.scalar(select(func.count(Alert.id))) == 1 + accepted
    assert post(99).status_code == 202
    assert "sensus_requests_refused_total" in httpx.get(f"{served}/metrics").text


def test_without_a_free_connection_the_answer_is_503_and_when_to_come_again(app: Flask, writer: FlaskClient) -> None:
    assert writer.post("/api/v1/alerts", json=alertmanager_webhook(1)).status_code == 202
    with app.app_context():
        database = resources().database
    with ExitStack() as held:
        for _ in range(POOL_MOST):
            held.enter_context(database.engine.connect())
        answer = writer.post("/api/v1/alerts", json=alertmanager_webhook(1))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER_S))
        assert answer.get_json()["message"] == "the database is busy; try again shortly"
    assert writer.post("/api/v1/alerts", json=alertmanager_webhook(1)).status_code == 202


def test_a_thread_that_must_refuse_still_answers_who_watches(client: FlaskClient) -> None:
    overload.note(refuse=True)
    try:
        assert client.get("/api/v1/alerts").status_code == 503
        assert client.get("/health/live").status_code == 200
        assert client.get("/metrics").status_code == 200
    finally:
        overload.note(refuse=False)
    assert client.get("/api/v1/alerts").status_code == 401


def _refusal(url: str) -> httpx.Response | None:
    try:
        answer = httpx.post(url, content=b"", timeout=0.5)
    except httpx.TimeoutException:
        return None
    return answer if answer.status_code == 503 else None


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, timeout=2).status_code
    except httpx.HTTPError:
        return None
