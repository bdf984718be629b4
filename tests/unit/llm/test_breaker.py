"""A model that is away costs the alerts after the first one nothing."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llm.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=2, open_s=10, longest_s=60, clock=clock)


def test_a_refused_connection_opens_it_at_once() -> None:
    clock = Clock()
    it = breaker(clock)
    it.failed(decisive=True)
    assert it.state == "open"
    assert not it.may_ask()
    clock.now += 9.9
    assert not it.may_ask()


def test_one_slow_answer_does_not_open_it_and_two_in_a_row_do() -> None:
    it = breaker(Clock())
    it.failed()
    assert it.may_ask()
    it.succeeded()
    it.failed()
    assert it.may_ask()
    it.failed()
    assert not it.may_ask()


def test_half_open_one_caller_tries_and_the_others_wait() -> None:
    clock = Clock()
    it = breaker(clock)
    it.failed(decisive=True)
    clock.now += 10
    assert it.state == "half_open"
    assert it.may_ask()
    assert not it.may_ask()
    it.succeeded()
    assert it.may_ask()
    assert it.may_ask()


def test_each_failed_trial_doubles_the_wait_up_to_a_limit() -> None:
    clock = Clock()
    it = breaker(clock)
    it.failed(decisive=True)
    waits = []
    for _ in range(5):
        start = clock.now
        while not it.may_ask():
            clock.now += 1
        waits.append(clock.now - start)
        it.failed()
    assert waits == [10, 20, 40, 60, 60]


def test_a_trial_whose_caller_died_does_not_keep_it_open_for_ever() -> None:
    clock = Clock()
    it = breaker(clock)
    it.failed(decisive=True)
    clock.now += 10
    assert it.may_ask()
    clock.now += 60
    assert it.may_ask()


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, the promises hold."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.it = breaker(self.clock)
        self.in_a_row = 0
        self.last_failure = 0.0

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(decisive=st.booleans())
    def fails(self, decisive: bool) -> None:
        self.it.failed(decisive=decisive)
        self.in_a_row += 1
        self.last_failure = self.clock.now
        if decisive or self.in_a_row >= 2:
            assert self.it.state == "open"
            assert not self.it.may_ask()

    @rule()
    def succeeds(self) -> None:
        self.it.succeeded()
        self.in_a_row = 0
        assert self.it.state == "closed"

    @precondition(lambda self: self.it.state == "half_open")
    @rule()
    def one_tries(self) -> None:
        assert self.it.may_ask()
        assert not self.it.may_ask()

    @invariant()
    def it_is_closed_without_failures(self) -> None:
        if self.in_a_row == 0:
            assert self.it.state == "closed"

    @invariant()
    def it_never_stays_open_longer_than_its_limit(self) -> None:
        asked_before = self.clock.now
        self.clock.now = self.last_failure + 60 + 60 + asked_before
        assert self.it.state != "open"
        self.clock.now = asked_before


TestBreakerMachine = BreakerMachine.TestCase
