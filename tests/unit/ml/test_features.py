"""Features are causal, scale-free, finite, and the same however the samples arrive."""

from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml.history import DAY, WINDOW, History

from ml.errors import MemoryRejected
from ml.features import FEATURE_NAMES, SeriesMemory
from tests.unit.ml.made import PER_DAY, START, STEP, daily, features_of, samples, unrolled

SURPRISE = FEATURE_NAMES.index("surprise")
RANGE = FEATURE_NAMES.index("range")
SEASONAL = FEATURE_NAMES.index("seasonal")
VOLATILITY = FEATURE_NAMES.index("volatility")


@given(samples, st.data())
@settings(max_examples=60, deadline=None)
def test_putting_the_memory_away_between_any_two_samples_changes_no_bit(
    pairs: list[tuple[float, float]], data: st.DataObject
) -> None:
    times, values = unrolled(pairs)
    at_once = features_of(times, values)
    memory, one_by_one = SeriesMemory(), []
    for time, value in zip(times, values, strict=True):
        if data.draw(st.booleans()):
            memory = SeriesMemory.from_bytes(memory.to_bytes())
        one_by_one.append(memory.advance(time, value))
    assert one_by_one == at_once


@given(samples)
@settings(max_examples=150, deadline=None)
def test_every_feature_of_any_finite_series_is_finite(pairs: list[tuple[float, float]]) -> None:
    for row in features_of(*unrolled(pairs)):
        assert len(row) == len(FEATURE_NAMES)
        assert all(isfinite(feature) for feature in row)


@given(samples, st.integers(0, 59))
@settings(max_examples=60, deadline=None)
def test_what_comes_later_changes_nothing_of_what_was_said(pairs: list[tuple[float, float]], cut: int) -> None:
    times, values = unrolled(pairs)
    assert features_of(times[:cut], values[:cut]) == features_of(times, values)[:cut]


@pytest.mark.parametrize("power", [-40, -1, 3, 60])
def test_a_series_in_another_binary_unit_has_the_same_features_to_the_last_bit(power: int) -> None:
    times, values = daily(3)
    assert features_of(times, [value * 2.0**power for value in values]) == features_of(times, values)


@pytest.mark.parametrize("factor", [1e-9, 3.6, 1000.0, 1e12])
def test_a_series_in_another_unit_has_the_same_features(factor: float) -> None:
    times, values = daily(3)
    scaled = features_of(times, [value * factor for value in values])
    for row, same in zip(features_of(times, values), scaled, strict=True):
        assert same == pytest.approx(row, rel=1e-9, abs=1e-9)


def test_the_memory_of_a_series_stays_under_eight_kilobytes() -> None:
    memory = SeriesMemory()
    for time, value in zip(*daily(10, step=60), strict=True):
        memory.advance(time, value)
    assert len(memory.to_bytes()) < 8_000


def test_a_constant_series_has_no_remarkable_feature() -> None:
    times, _ = daily(3)
    assert set(features_of(times, [42.0] * len(times))[-1]) == {0.0}


@pytest.mark.parametrize("level", [0.0, 42.0, -1e9])
def test_a_constant_series_that_moves_stands_out(level: float) -> None:
    times, _ = daily(3)
    row = features_of(times, [level] * (len(times) - 1) + [level + (abs(level) or 1.0) / 20])[-1]
    assert row[SURPRISE] > 5
    assert row[RANGE] > 5


def test_a_sample_far_off_does_not_widen_its_own_yardstick() -> None:
    times, values = daily(3)
    rows = [features_of(times, [*values[:-1], far])[-1][SURPRISE] for far in (80.0, 200.0, 1e6)]
    assert rows == sorted(rows)
    assert rows[-1] > rows[0] + 5


def test_what_happens_each_day_at_the_same_time_is_no_seasonal_deviation() -> None:
    times, values = daily(6, noise=0.1)
    rows = features_of(times, values)
    last_day = [abs(row[SEASONAL]) for row in rows[-PER_DAY:]]
    assert max(last_day) < 0.15


def test_a_series_that_gets_stuck_loses_its_volatility() -> None:
    times, values = daily(3)
    values[-24:] = [values[-25]] * 24
    assert features_of(times, values)[-1][VOLATILITY] < -0.5


def test_a_young_series_is_warming_up_and_an_old_one_is_scoring() -> None:
    memory = SeriesMemory()
    states = []
    for time, value in zip(*daily(1.5), strict=True):
        memory.advance(time, value)
        states.append(memory.state)
    assert states[0] == states[PER_DAY - 1] == "warming_up"
    assert states[PER_DAY + 1] == states[-1] == "scoring"


def test_a_sparse_series_needs_fifty_samples_and_a_day_to_warm_up() -> None:
    memory = SeriesMemory()
    for number, (time, value) in enumerate(zip(*daily(3, step=3600), strict=True), start=1):
        memory.advance(time, value)
        assert (memory.state == "scoring") == (number >= 50)


def test_after_a_long_gap_a_series_is_stale_for_a_few_samples() -> None:
    memory = SeriesMemory()
    times, values = daily(4)
    for time, value in zip(times[:-10], values[:-10], strict=True):
        memory.advance(time, value)
    states = []
    for time, value in zip(times[-10:], values[-10:], strict=True):
        memory.advance(time + 86_400, value)
        states.append(memory.state)
    assert states[0] == "stale"
    assert states[-1] == "scoring"


def test_a_usual_pause_between_samples_is_no_gap() -> None:
    memory = SeriesMemory()
    for time, value in zip(*daily(8, step=4 * 3600), strict=True):
        memory.advance(time, value)
        assert memory.state != "stale"


def test_a_series_silent_for_more_than_its_window_starts_afresh() -> None:
    memory = SeriesMemory()
    times, values = daily(2)
    for time, value in zip(times, values, strict=True):
        memory.advance(time, value)
    row = memory.advance(times[-1] + 8 * 86_400, 1e6)
    assert memory.state == "warming_up"
    assert set(row) == {0.0}


@given(samples)
@settings(max_examples=60, deadline=None)
def test_the_sorted_window_is_always_the_ring_sorted(pairs: list[tuple[float, float]]) -> None:
    memory = SeriesMemory()
    for time, value in zip(*unrolled(pairs), strict=True):
        memory.advance(time, value)
        history = memory.history
        assert history.ordered == sorted(value for value in history.ring if value == value)


def test_the_same_time_of_day_is_remembered_for_seven_days() -> None:
    history = History(0, 0.0, 0)
    for bucket in range(WINDOW + 5):
        history.open(bucket)
        history.enter(float(bucket // DAY))
    assert (history.seasonal_low, history.seasonal, history.seasonal_high) == (0.0, 3.0, 6.0)
    assert len(history.ordered) == WINDOW


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"XXX" + data[3:],
        lambda data: data[:3] + b"\x63" + data[4:],
        lambda data: data[:60] + b"\xff" * 16 + data[76:],
    ],
)
def test_bytes_that_are_no_memory_of_this_release_are_refused(damage) -> None:
    memory = SeriesMemory()
    memory.advance(START, 1.0)
    memory.advance(START + STEP, 2.0)
    with pytest.raises(MemoryRejected):
        SeriesMemory.from_bytes(damage(memory.to_bytes()))
