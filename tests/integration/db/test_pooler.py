"""A pooler in transaction mode before PostgreSQL: each transaction may be on another connection."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import text

from db import cli, exclusive, outbox
from db.direct import execute
from db.session import Database
from sensus.settings import Settings
from tests.conftest import MakeKey, need
from tests.factories import alertmanager_webhook
from tests.pgbouncer import CONNECTIONS, PgBouncer
from web.app import create_app
from web.resources import resources

pytestmark = pytest.mark.peers


@pytest.fixture
def pooler(database_url: str) -> Iterator[PgBouncer]:
    need("pgbouncer")
    # Tables come first, and with them the limits of the role: a connection that is open already would not have them.
    upgraded = Database(database_url, statement_timeout_ms=0)
    cli.upgrade(upgraded, Settings(_env_file=None, database_direct_url=SecretStr(database_url)))
    upgraded.close()
    # Below a folder that the user to which PgBouncer changes can enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with PgBouncer(Path(folder) / "pgbouncer", database_url) as running:
            yield running


@pytest.fixture
def pooled_settings(settings: Settings, pooler: PgBouncer, database_url: str) -> Settings:
    plain = {"database_url": pooler.url, "database_direct_url": database_url}
    return settings.model_copy(
        update={name: SecretStr(url.replace("postgresql+psycopg", "postgresql")) for name, url in plain.items()}
    )


@pytest.fixture
def pooled(pooler: PgBouncer, database_url: str) -> Iterator[Database]:
    opened = Database(pooler.url, direct_url=database_url, application="test", backoff_s=())
    yield opened
    opened.close()


def test_without_its_setting_a_pooler_is_refused_at_the_first_connection(pooler: PgBouncer) -> None:
    """What a connection asks for would be lost, and a statement would run without end."""
    database = Database(pooler.url, backoff_s=())
    with pytest.raises(Exception, match="options"):
        database.ping()
    database.close()


def test_statements_have_the_limits_that_a_connection_would_bring(pooled: Database) -> None:
    with pooled.transaction() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "10s"
        assert session.scalar(text("SHOW timezone")) == "UTC"
    with pooled.unpooled.transaction() as session:
        assert session.scalar(text("SHOW statement_timeout")) == "10s"


def test_more_threads_than_connections_run_the_same_statements_again_and_again(pooled: Database) -> None:
    def work(number: int) -> int:
        total = 0
        for _ in range(20):
            with pooled.transaction() as session:
                total += session.execute(text("SELECT CAST(:n AS int)"), {"n": number}).scalar_one()
            with pooled.direct() as connection:
                row = execute(connection, "SELECT %(n)s::int", {"n": number}).fetchone()
                assert row is not None
                total += row[0]
        return total

    numbers = range(1, 4 * CONNECTIONS + 1)
    with ThreadPoolExecutor(len(numbers)) as threads:
        assert list(threads.map(work, numbers)) == [40 * number for number in numbers]


def test_a_lock_for_longer_than_a_transaction_is_held_and_let_go(pooled: Database, database: Database) -> None:
    with exclusive.alone(pooled, exclusive.LONG_WORK) as is_alone:
        assert is_alone
        for _ in range(2 * CONNECTIONS):
            with pooled.transaction() as session:
                session.execute(text("SELECT 1"))
        with exclusive.alone(database, exclusive.LONG_WORK) as is_second:
            assert not is_second
    with exclusive.alone(database, exclusive.LONG_WORK) as is_alone:
        assert is_alone


def test_alerts_and_samples_come_in_and_are_read(pooled: Database, pooled_settings: Settings, key: MakeKey) -> None:
    made: Flask = create_app(pooled_settings)
    head = {"Authorization": f"Bearer {key('read', 'write', rate=None)}"}

    def send(number: int) -> None:
        client = made.test_client()
        for again in range(8):
            webhook = alertmanager_webhook(alerts=3)
            assert client.post("/api/v1/alerts", json=webhook, headers=head).status_code == 202
            assert client.post("/api/v1/alerts", json=webhook, headers=head).json["duplicates"] == 3
            sample = {"metric_name": f"queue_{number}", "metric_value": again, "labels": {"a": "b"}}
            assert client.post("/api/v1/metrics", json=[sample], headers=head).json["accepted"] == 1
            assert client.get("/api/v1/alerts", headers=head).status_code == 200

    try:
        with ThreadPoolExecutor(3 * CONNECTIONS) as threads:
            list(threads.map(send, range(3 * CONNECTIONS)))
        entries: list[str] = []
        moved = outbox.relay(pooled, lambda _installation, _batch, rows: entries.extend(row.type for row in rows))
        assert moved == len(entries) > 0
    finally:
        with made.app_context():
            resources().close()
    with psycopg.connect(pooled_settings.require_unpooled_url().replace("+psycopg", "")) as connection:
        count = connection.execute("SELECT count(*) FROM samples").fetchone()
    assert count == (3 * CONNECTIONS * 8,)
