"""Which errors are worth another try, and how long it waits."""

from __future__ import annotations

import os

import psycopg
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy.exc import DBAPIError

from llm.errors import ModelMissing, ModelUnreachable
from ml.errors import NotEnoughHistory
from sensus.errors import Conflict, Unavailable
from tasks.base import _LONGEST_PAUSE_S, may_pass, pause_s


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the database is away"),
        ConnectionRefusedError(),
        redis.exceptions.ConnectionError(),
        BrokerAway(),
        ModelUnreachable("http://127.0.0.1:9"),
        DBAPIError("UPDATE", {}, psycopg.errors.DeadlockDetected()),
        DBAPIError("UPDATE", {}, psycopg.errors.QueryCanceled()),
    ],
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    assert may_pass(error)


@pytest.mark.parametrize(
    "error",
    [
        Conflict("resolved"),
        ModelMissing("llama2", "install it"),
        NotEnoughHistory(1, 2),
        KeyError("a mistake of ours"),
        DBAPIError("INSERT", {}, psycopg.errors.UniqueViolation()),
    ],
)
def test_what_would_fail_again_is_not(error: Exception) -> None:
    assert not may_pass(error)


@given(st.integers(0, 2_000))
def test_the_pause_grows_to_a_limit_and_is_never_the_same_for_all(retries: int) -> None:
    longest = min(2**retries, _LONGEST_PAUSE_S)
    assert longest / 2 <= pause_s(retries) <= longest
    assert len({pause_s(retries) for _ in range(5)}) > 1


def test_connections_are_never_handed_to_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import resources

    opened: list[object] = []

    def fresh(_: object) -> object:
        opened.append(object())
        return opened[-1]

    monkeypatch.setattr(resources, "open_resources", fresh)
    monkeypatch.setattr(resources, "_opened", {})
    ours = resources.resources()
    assert resources.resources() is ours
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert resources.resources() is not ours
