"""A pooled connection that was cut meanwhile costs one transaction at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import direct
from db.session import TRUSTED_S, Database
from sensus.errors import Unavailable
from tests.waiting import wait_for

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
