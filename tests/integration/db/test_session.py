"""A pooled connection that was cut meanwhile costs one transaction at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import direct
from db.direct import Direct
from db.session import TRUSTED_S, Database
from sensus.errors import Unavailable
from tests.servers import PrivateServers
from tests.waiting import wait_for

Step = Callable[[Direct], object]

_NAME = "cut-by-a-test"
_CUT = text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name")
_LEFT = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")


@pytest.fixture
def pooled(database_url: str) -> Iterator[Database]:
    made = Database(database_url, application=_NAME, backoff_s=())
    yield made
    made.close()


def open_two(pooled: Database) -> None:
    with pooled.transaction() as one, pooled.transaction() as two:
        one.execute(text("SELECT 1"))
        two.execute(text("SELECT 1"))


def cut(session: Session) -> None:
    session.execute(_CUT, {"name": _NAME})
    wait_for(lambda: session.scalar(_LEFT, {"name": _NAME}) == 0, timeout_s=5, what="the connections to be gone")


def ask(pooled: Database) -> int:
    with pooled.transaction() as session:
        (row,) = direct.execute(session, "SELECT %(number)s::int", {"number": 7})
    return int(row[0])


def test_a_connection_that_rested_is_asked_before_it_is_used(pooled: Database, session: Session) -> None:
    open_two(pooled)
    cut(session)
    rested_until = time.monotonic() + TRUSTED_S
    wait_for(lambda: time.monotonic() > rested_until, timeout_s=5, what="the connections to have rested")
    assert ask(pooled) == 7


def by_sqlalchemy(session: Session) -> None:
    session.execute(text("SELECT 1"))


def by_psycopg(session: Session) -> None:
    direct.execute(session, "SELECT 1", {})


@pytest.mark.parametrize("statement", [by_sqlalchemy, by_psycopg])
def test_one_failure_is_enough_to_forget_all_cut_connections(
    pooled: Database, session: Session, statement: Callable[[Session], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.session.TRUSTED_S", 3600)
    open_two(pooled)
    cut(session)
    with pytest.raises(Unavailable), pooled.transaction() as failing:
        statement(failing)
    assert [ask(pooled), ask(pooled)] == [7, 7]


def test_a_direct_statement_raises_what_sqlalchemy_would(pooled: Database) -> None:
    with pytest.raises(IntegrityError) as raised, pooled.transaction() as session:
        direct.execute(session, "INSERT INTO users (name, password_hash, scopes) VALUES (NULL, 'secret', '{}')", {})
    assert "secret" not in str(raised.value).split("DETAIL")[0]


def names(session: Session) -> list[str]:
    return list(session.scalars(text("SELECT name FROM users ORDER BY name")))


ADD = "INSERT INTO users (name, password_hash, scopes) VALUES (%(name)s, 'x', '{}')"


def add(name: str) -> Step:
    return lambda connection: direct.execute(connection, ADD, {"name": name})


def begin(connection: Direct) -> None:
    connection.begin()


def run(pooled: Database, *steps: Step) -> None:
    with pooled.direct() as connection:
        for step in steps:
            step(connection)


def fail(_: Direct) -> None:
    raise KeyError


def copy(connection: Direct) -> None:
    direct.copy(connection, "COPY users (name, password_hash, scopes) FROM STDIN", b"copied\tx\t{}\n")


def ask_twice(connection: Direct) -> None:
    assert direct.execute_all(connection, "SELECT 1; SET LOCAL lock_timeout = 0; SELECT 2") == [(1,), None, (2,)]


def test_a_direct_statement_commits_by_itself(pooled: Database, session: Session) -> None:
    with pytest.raises(KeyError):
        run(pooled, add("a"), copy, fail)
    assert names(session) == ["a", "copied"]


@pytest.mark.parametrize("first", [add("a"), copy, ask_twice])
def test_what_was_begun_directly_is_one_transaction(pooled: Database, session: Session, first: Step) -> None:
    def nothing_yet(_: Direct) -> None:
        assert names(session) == []

    with pytest.raises(KeyError):
        run(pooled, begin, first, add("b"), nothing_yet, fail)
    assert names(session) == []
    run(pooled, begin, first, add("b"), nothing_yet)
    assert names(session)[-2:] in (["a", "b"], ["b", "copied"], ["b"])


def test_a_connection_comes_back_to_the_pool_as_it_was(pooled: Database, session: Session) -> None:
    with pooled.direct() as connection:
        driver = connection.driver
        direct.execute(connection, "SELECT 1", {})
    assert not driver.autocommit
    with pooled.transaction() as later:
        later.execute(text("INSERT INTO users (name, password_hash, scopes) VALUES ('a', 'x', '{}')"))
        assert names(session) == []
        later.rollback()
    assert names(session) == []


def test_a_direct_connection_that_is_cut_costs_one_request(
    pooled: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.session.TRUSTED_S", 3600)
    open_two(pooled)
    cut(session)
    with pytest.raises(Unavailable):
        run(pooled, ask_twice)
    assert [ask(pooled), ask(pooled)] == [7, 7]


def test_a_commit_that_is_cut_is_told(pooled: Database, session: Session) -> None:
    with pytest.raises(Unavailable):
        run(pooled, begin, add("a"), lambda _: cut(session))
    assert names(session) == []


def test_a_server_that_is_away_is_told(servers: PrivateServers) -> None:
    nobody = Database("postgresql+psycopg://nobody:x@127.0.0.1:1/x", backoff_s=(0.01,))
    with pytest.raises(Unavailable, match="away"), nobody.direct():
        pass
