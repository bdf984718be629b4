"""Dashboards read the views of one schema, with a role that can do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import text

from db import reporting
from db.session import Database
from sensus.errors import ConfigurationError
from sensus.runtime.postgres import EmbeddedPostgres
from tests.servers import PrivateServers


@pytest.fixture
def reader_url(servers: PrivateServers, database_url: str) -> str:
    server = servers.postgres.server
    assert isinstance(server, EmbeddedPostgres)
    return server.reporting_url.rsplit("/", 1)[0] + urlsplit(database_url).path


@pytest.fixture
def reader(reader_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(reader_url, autocommit=True) as connection:
        yield connection


def _names(database: Database, schema: str) -> list[str]:
    with database.transaction() as session:
        return list(
            session.scalars(
                text("SELECT table_name FROM information_schema.tables WHERE table_schema = :s"), {"s": schema}
            )
        )


def test_every_view_can_be_read_and_no_table(database: Database, reader: psycopg.Connection) -> None:
    views, tables = _names(database, "reporting"), _names(database, "public")
    assert len(views) > 10
    assert len(tables) > 15
    for view in views:
        reader.execute(f"SELECT * FROM reporting.{view} LIMIT 1")
    for table in tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(f"SELECT * FROM public.{table} LIMIT 1")


def test_nothing_can_be_written_whatever_the_session_sets(reader: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader.execute("CREATE TEMPORARY TABLE mine (a int)")
    reader.execute("SET default_transaction_read_only = off")
    for statement in (
        "DELETE FROM reporting.alerts",
        "UPDATE reporting.changes SET title = 'x'",
        "INSERT INTO reporting.feedback (helpful) VALUES (true)",
        "CREATE TABLE public.mine (a int)",
        "CREATE TABLE reporting.mine (a int)",
        "SELECT * FROM pg_authid",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(statement)


def test_there_are_never_more_than_a_few_readers(reader_url: str) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(psycopg.connect(reader_url))
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            psycopg.connect(reader_url)


def test_a_slow_query_ends_by_itself(reader: psycopg.Connection) -> None:
    assert reader.execute("SHOW statement_timeout").fetchone() == ("15s",)


def test_payloads_addresses_and_keys_are_in_no_view(database: Database) -> None:
    with database.transaction() as session:
        columns = set(
            session.scalars(text("SELECT column_name FROM information_schema.columns WHERE table_schema = 'reporting'"))
        )
    assert not columns & {"payload", "secret_hash", "client_address", "password_hash", "artifact", "extra", "evidence"}


def test_an_owner_who_may_not_make_roles_says_who_is_to_make_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "ROLE", "nobody_yet")
    reporting.ensure(database, None)
    with pytest.raises(ConfigurationError, match="let a superuser run: CREATE ROLE nobody_yet"):
        reporting.ensure(database, "long enough")


def test_an_owner_who_may_make_roles_sets_the_password(
    servers: PrivateServers, database_url: str, reader_url: str
) -> None:
    server = servers.postgres.server
    assert isinstance(server, EmbeddedPostgres)
    name = urlsplit(database_url).path
    superuser = Database(server.admin_url.replace("postgresql:", "postgresql+psycopg:").rsplit("/", 1)[0] + name)
    try:
        reporting.ensure(superuser, "another one")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(reader_url)
        parts = urlsplit(reader_url)
        psycopg.connect(reader_url.replace(f":{parts.password}@", ":another%20one@")).close()
    finally:
        reporting.ensure(superuser, urlsplit(reader_url).password)
        superuser.close()
    psycopg.connect(reader_url).close()
