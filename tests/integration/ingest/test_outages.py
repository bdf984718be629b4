"""Servers go away: 202 as long as PostgreSQL is there, 503 at once when it is not."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db import cli
from db.models import OutboxEntry
from db.queries import outbox, ungrouped
from db.session import Database
from sensus import audit, metrics
from sensus.settings import Settings
from tests.factories import alertmanager_webhook, samples
from tests.servers import PrivateServers
from tests.waiting import wait_for
from web.app import create_app
from web.resources import resources


@pytest.fixture
def own_redis() -> Iterator[PrivateServers]:
    """A Redis that a test may stop."""
    with PrivateServers(postgres=False) as running:
        yield running


@pytest.fixture
def app(settings: Settings, own_redis: PrivateServers) -> Iterator[Flask]:
    made = create_app(settings.model_copy(update={"redis_url": SecretStr(own_redis.redis_url)}))
    yield made
    with made.app_context():
        resources().close()


def stream(own_redis: PrivateServers) -> list[str]:
    client = redis.Redis.from_url(own_redis.redis_url, decode_responses=True)
    try:
        return [entry["request_id"] for entry in audit.tail(client, audit.RAW, count=100, follow=False)]
    except redis.ConnectionError:
        return []
    finally:
        client.close()


def test_requests_are_accepted_while_redis_is_away_and_the_stream_has_no_hole(
    app: Flask, writer: FlaskClient, session: Session, own_redis: PrivateServers
) -> None:
    def post(request_id: str) -> float:
        began = time.perf_counter()
        answer = writer.post("/api/v1/alerts", json=alertmanager_webhook(1), headers={"X-Request-ID": request_id})
        assert answer.status_code == 202, answer.text
        return time.perf_counter() - began

    post("before")
    wait_for(lambda: stream(own_redis) == ["before"], "the entry is in the stream")
    own_redis.redis.stop()
    took = [post(f"during-{number}") for number in range(10)]
    assert sorted(took)[len(took) // 2] < 0.5
    assert session.scalar(select(func.count(OutboxEntry.id))) == 10
    assert writer.get("/health/ready").status_code == 200
    assert writer.get("/health").get_json()["checks"]["redis"]["ok"] is False
    text_ = writer.get("/metrics").text
    assert 'sensus_unfinished{kind="audit"} 10.0' in text_
    assert "sensus_queue_length{" not in text_
    own_redis.redis.start()
    post("after")
    expected = ["before", *(f"during-{number}" for number in range(10)), "after"]
    wait_for(lambda: stream(own_redis) == expected, "all entries are in the stream, in order")
    wait_for(lambda: session.scalar(select(func.count(OutboxEntry.id))) == 0, "the outbox is empty")


def test_a_redis_that_hangs_costs_a_request_little(app: Flask, writer: FlaskClient, own_redis: PrivateServers) -> None:
    assert writer.post("/api/v1/metrics", json=samples(3)).status_code == 202
    own_redis.redis.pause()
    try:
        took = []
        for _ in range(5):
            began = time.perf_counter()
            assert writer.post("/api/v1/metrics", json=samples(3)).status_code == 202
            took.append(time.perf_counter() - began)
        assert sorted(took)[2] < 0.5, took
    finally:
        own_redis.redis.resume()


def test_a_lost_knock_is_counted_and_its_row_still_waits(
    app: Flask, writer: FlaskClient, session: Session, own_redis: PrivateServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ConnectionError

    with app.app_context():
        background = resources().background
    monkeypatch.setattr(background, "_knocks", lambda: type("Away", (), {"group": away}))
    counter = metrics.messages_lost.labels("group")
    before = counter._value.get()
    assert writer.post("/api/v1/alerts", json=alertmanager_webhook(1)).status_code == 202
    wait_for(lambda: counter._value.get() == before + 1, "the lost message is counted")
    assert [change.change for change in ungrouped.changes(session, limit=5)] == ["firing"]


class TestWithoutTheDatabase:
    @pytest.fixture
    def own_postgres(self) -> Iterator[PrivateServers]:
        with PrivateServers(redis=False) as running:
            yield running

    def test_every_request_is_answered_503_soon_and_works_again_later(
        self, own_postgres: PrivateServers, own_redis: PrivateServers, settings: Settings
    ) -> None:
        url = own_postgres.database_url
        database = Database(url, statement_timeout_ms=0)
        cli.upgrade(database, settings)
        database.close()
        made = create_app(
            settings.model_copy(
                update={
                    "database_url": SecretStr(url.replace("postgresql+psycopg", "postgresql")),
                    "redis_url": SecretStr(own_redis.redis_url),
                }
            )
        )
        client = made.test_client()
        assert client.get("/health/ready").status_code == 200
        own_postgres.postgres.stop()
        for method, path in (("POST", "/api/v1/alerts"), ("GET", "/health/ready"), ("GET", "/health")):
            began = time.perf_counter()
            answer = client.open(path, method=method, json=[], headers={"Authorization": "Bearer sensus_x"})
            assert time.perf_counter() - began < 5
            assert answer.status_code == 503
            assert "psycopg" not in answer.text
            assert "SELECT" not in answer.text
        assert client.get("/health").get_json()["status"] == "down"
        metrics_page = client.get("/metrics")
        assert metrics_page.status_code == 200
        assert "sensus_unfinished{" not in metrics_page.text
        own_postgres.postgres.start()
        wait_for(lambda: client.get("/health/ready").status_code == 200, "it is ready again")
        with made.app_context():
            resources().close()


def test_a_database_of_an_earlier_release_is_not_ready(client: FlaskClient, session: Session) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "sensus db upgrade" in answer.get_json()["detail"]


def test_a_database_that_the_next_release_has_upgraded_is_ready(client: FlaskClient, session: Session) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert client.get("/health/ready").status_code == 200


def test_the_outbox_is_counted_as_waiting(database: Database) -> None:
    with database.transaction() as session:
        outbox.add(
            session, outbox.NewEntry(stream="metrics:raw", type="alert", facts={}, request_id="a", actor="user:x")
        )
        assert outbox.waiting(session) == 1
