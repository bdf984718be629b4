"""Real servers for the integration tests: one pair for all, a fresh database for each test that asks."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy.orm import Session

from db import cli
from db.models import ApiKey
from db.session import Database
from sensus import settings as settings_module
from sensus.settings import Settings
from tests.servers import PrivateServers

# What a test process has in its environment must not reach the product under test.
for _name in [name for name in os.environ if name.startswith("SENSUS_")]:
    del os.environ[_name]

# Debian's; without them the tests that need a real sender are skipped.
PEERS = ("prometheus", "prometheus-alertmanager")

MakeKey = Callable[..., str]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where nothing may be skipped, a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("TESTS_NO_SKIP") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def servers() -> Iterator[PrivateServers]:
    """PostgreSQL and Redis for the whole run; a test that stops one starts it again."""
    with PrivateServers() as running:
        # `tasks.app` reads its broker from the settings of the process when it is imported.
        os.environ["SENSUS_DATABASE_URL"] = running.database_url.replace("postgresql+psycopg", "postgresql")
        os.environ["SENSUS_REDIS_URL"] = running.redis_url
        settings_module.current.cache_clear()
        yield running


@pytest.fixture(scope="session")
def template(servers: PrivateServers) -> str:
    """The URL of a database that is migrated and otherwise empty."""
    url = servers.new_database()
    database = Database(url, statement_timeout_ms=0)
    cli.upgrade(database, Settings(_env_file=None))
    database.close()
    return url


@pytest.fixture
def database_url(servers: PrivateServers, template: str) -> Iterator[str]:
    """A database of this test's own."""
    url = servers.new_database(template)
    yield url
    servers.drop_database(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, application="test", backoff_s=())
    yield opened
    opened.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session that sees each commit of others at its next statement; for looking and for arranging."""
    with Session(database.engine.execution_options(isolation_level="AUTOCOMMIT")) as opened:
        yield opened


@pytest.fixture
def redis_client(servers: PrivateServers) -> Iterator[redis.Redis]:
    """Redis, emptied before the test."""
    client = redis.Redis.from_url(servers.redis_url, decode_responses=True)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def settings(servers: PrivateServers, database_url: str, redis_client: redis.Redis) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url.replace("postgresql+psycopg", "postgresql")),
        redis_url=SecretStr(servers.redis_url),
        # Nobody listens on port 9, and the refusal comes at once.
        ollama_url="http://127.0.0.1:9",
        jwt_secret=SecretStr(secrets.token_hex(32)),
        rate_limit_metrics=1_000_000,
        rate_limit_alerts=1_000_000,
        rate_limit_analysis=1_000_000,
        rate_limit_default=1_000_000,
        rate_limit_keys=1_000_000,
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    from web.app import create_app
    from web.resources import resources

    made = create_app(settings)
    yield made
    with made.app_context():
        resources().close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A caller without credentials."""
    return app.test_client()


@pytest.fixture
def key(session: Session) -> MakeKey:
    """Makes an API key: `key("write")`, `key("read", "write", rate=None)`; returns the secret."""

    def make(*scopes: str, name: str = "a test", rate: int | None = None) -> str:
        secret = f"sns_{secrets.token_urlsafe(32)}"
        session.add(
            ApiKey(name=name, secret_hash=hashlib.sha256(secret.encode()).digest(), scopes=list(scopes), rate=rate)
        )
        session.flush()
        return secret

    return make


@pytest.fixture
def as_key(app: Flask, key: MakeKey) -> Callable[..., FlaskClient]:
    """Makes a client that sends an API key with these scopes: `as_key("write").post(...)`."""

    def make(*scopes: str, rate: int | None = None) -> FlaskClient:
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key(*scopes, rate=rate)}"
        return client

    return make


@pytest.fixture
def writer(as_key: Callable[..., FlaskClient]) -> FlaskClient:
    """A client that may read and write, without a limit."""
    return as_key("read", "write")


@pytest.fixture(scope="session")
def peers() -> None:
    need(*PEERS)


def need(*programs: str) -> None:
    """Skip the test without these programs of Debian's; where nothing may be skipped, fail it."""
    missing = [name for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        told = f"Debian's {' and '.join(missing)} is not installed"
        assert not os.environ.get("TESTS_NO_SKIP"), told
        pytest.skip(told)
