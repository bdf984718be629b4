"""When a process that died is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensus.runtime.backoff import FIRST_S, LONGEST_S, STABLE_S, Backoff

short = st.floats(0, STABLE_S, exclude_max=True)


def test_each_death_in_a_row_doubles_the_wait_up_to_a_limit() -> None:
    state, delays = Backoff(), []
    for _ in range(9):
        state = state.after_running(1.0)
        delays.append(state.delay_s)

    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@given(st.lists(short, min_size=1), st.floats(STABLE_S, 1e6))
def test_a_stable_run_forgets_the_deaths_before_it(runs: list[float], stable: float) -> None:
    state = Backoff()
    for seconds in runs:
        state = state.after_running(seconds)

    assert state.after_running(stable).delay_s == FIRST_S


@given(st.lists(st.floats(0, 1e6), max_size=2000))
def test_the_wait_is_always_within_its_limits(runs: list[float]) -> None:
    state = Backoff()
    for seconds in runs:
        state = state.after_running(seconds)
        assert FIRST_S <= state.delay_s <= LONGEST_S
