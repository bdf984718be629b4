"""Real workers on real servers, each test with a database and a Redis of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from celery import Celery

from db import cli
from db.session import Database
from sensus.settings import Settings
from tests.faults.tasks.worker import Worker
from tests.servers import PrivateServers

StartWorker = Callable[..., Worker]
Send = Callable[..., None]


@pytest.fixture(scope="module")
def servers() -> Iterator[PrivateServers]:
    """PostgreSQL and Redis that these tests may stop."""
    with PrivateServers() as running:
        yield running


@pytest.fixture(scope="module")
def template(servers: PrivateServers) -> str:
    """The URL of a database that is migrated and has the built-in model."""
    from tasks.in_force import InForce

    url = servers.new_database()
    database = Database(url, statement_timeout_ms=0)
    cli.upgrade(database, Settings(_env_file=None))
    InForce().get(database)
    database.close()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, application="test")
    yield opened
    opened.close()


@pytest.fixture
def send(servers: PrivateServers) -> Iterator[Send]:
    """Sends a message as `tasks.signatures` does: `send("tasks.upkeep.sweep", request_id=...)`."""
    app = Celery(broker=servers.redis_url)
    app.config_from_object("celery_config")

    def message(task: str, *, request_id: str | None = None, **arguments: object) -> None:
        app.send_task(task, kwargs=arguments, headers={"request_id": request_id or uuid.uuid4().hex})

    yield message
    app.close()


@pytest.fixture
def start_worker(
    servers: PrivateServers, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartWorker]:
    """Starts a worker of a queue: `start_worker("anomaly", SENSUS_OLLAMA_URL=...)`; all are killed at the end."""
    import redis

    redis.Redis.from_url(servers.redis_url).flushall()
    started: list[Worker] = []

    def start(queue: str, **environment: str) -> Worker:
        worker = Worker(
            queue,
            {
                **{name: value for name, value in os.environ.items() if not name.startswith("SENSUS_")},
                "SENSUS_DATABASE_URL": database_url.replace("postgresql+psycopg", "postgresql"),
                "SENSUS_REDIS_URL": servers.redis_url,
                "SENSUS_OLLAMA_URL": "http://127.0.0.1:9",
                "SENSUS_LOG_FORMAT": "json",
                "REMAP_SIGTERM": "SIGQUIT",
                **environment,
            },
            tmp_path_factory.mktemp("worker") / "log",
        )
        started.append(worker)
        worker.start()
        return worker

    yield start
    for worker in started:
        worker.kill()
