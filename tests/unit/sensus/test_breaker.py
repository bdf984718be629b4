"""A server that is away costs a request its limit once, then nothing."""

from __future__ import annotations

import threading

import pytest

from sensus.breaker import Guard
from sensus.errors import Unavailable
from tests.waiting import wait_for


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def boom() -> str:
    raise ConnectionError("no route")


def test_a_call_that_succeeds_gives_its_result() -> None:
    assert Guard("redis").call(lambda: "PONG") == "PONG"


def test_after_a_failure_calls_are_refused_without_being_tried() -> None:
    clock = Clock()
    guard = Guard("redis", clock=clock, rest_s=1.0)
    tried = []
    with pytest.raises(Unavailable, match="redis is away"):
        guard.call(boom)
    with pytest.raises(Unavailable, match="redis is away"):
        guard.call(lambda: tried.append(1))
    assert not tried
    assert guard.is_open


def test_after_a_rest_one_call_tries_and_closes_it() -> None:
    clock = Clock()
    guard = Guard("redis", clock=clock, rest_s=1.0)
    with pytest.raises(Unavailable):
        guard.call(boom)
    clock.now += 1.1
    assert guard.call(lambda: "PONG") == "PONG"
    assert guard.call(lambda: "PONG") == "PONG"
    assert not guard.is_open


def test_a_call_that_hangs_is_left_alone_and_does_not_use_up_the_threads() -> None:
    clock = Clock()
    guard = Guard("redis", clock=clock, limit_s=0.02, rest_s=1.0, threads=2)
    release = threading.Event()
    for _ in range(4):
        with pytest.raises(Unavailable):
            guard.call(lambda: release.wait(10))
        clock.now += 1.1
    with pytest.raises(Unavailable, match="is away"):
        guard.call(lambda: "PONG")
    release.set()
    clock.now += 1.1

    def answered() -> bool:
        try:
            return guard.call(lambda: "PONG") == "PONG"
        except Unavailable:
            clock.now += 1.1
            return False

    wait_for(answered, timeout_s=5, what="the guard to answer again", every_s=0.01)
