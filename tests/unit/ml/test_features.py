"""Figures are causal, scale-free, finite, and say what they are named for."""

from math import isfinite

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import features as f
from ml.features import FEATURE_NAMES
from tests.unit.ml.made import PER_DAY, PER_HOUR, STEP, daily, figures_of, samples, states_of, unrolled


@given(samples)
@settings(max_examples=150, deadline=None)
def test_every_figure_of_any_finite_series_is_finite(pairs: list[tuple[float, float]]) -> None:
    figures = figures_of(*unrolled(pairs))
    assert figures.shape == (len(pairs), f.FIGURES)
    assert all(isfinite(figure) for row in figures[:, : f.LOW].tolist() for figure in row)


@pytest.mark.parametrize("power", [-40, -1, 3, 60])
def test_a_series_in_another_binary_unit_has_the_same_figures_to_the_last_bit(power: int) -> None:
    times, values = daily(3)
    other = figures_of(times, [value * 2.0**power for value in values])
    assert other[:, : f.LOW].tolist() == figures_of(times, values)[:, : f.LOW].tolist()


@pytest.mark.parametrize("factor", [1e-9, 3.6, 1000.0, 1e12, -1.0])
def test_a_series_in_another_unit_has_the_same_figures(factor: float) -> None:
    times, values = daily(3)
    plain, other = figures_of(times, values), figures_of(times, [value * factor for value in values])
    if factor < 0:
        signed = [f.SURPRISE, f.SEASONAL, f.SEASONAL_HOUR, f.SEASONAL_4H, f.SEASONAL_12H, f.DEPARTURE, f.NOVELTY]
        other[:, signed] *= -1.0
    assert other[:, : f.LOW] == pytest.approx(plain[:, : f.LOW], rel=1e-7, abs=1e-7)


def test_a_constant_series_has_no_remarkable_feature() -> None:
    times, _ = daily(3)
    last = figures_of(times, [42.0] * len(times))[-1]
    assert set(last[: len(FEATURE_NAMES)].tolist()) == {0.0}


@pytest.mark.parametrize("level", [0.0, 42.0, -1e9])
def test_a_constant_series_that_moves_stands_out(level: float) -> None:
    times, _ = daily(3)
    last = figures_of(times, [level] * (len(times) - 1) + [level + (abs(level) or 1.0) / 20])[-1]
    assert last[f.SURPRISE] > 5
    assert last[f.RARE_SURPRISE] > 5
    assert last[f.NOVELTY] > 5


def test_a_sample_far_off_does_not_widen_its_own_yardstick() -> None:
    times, values = daily(3)
    found = [figures_of(times, [*values[:-1], far])[-1][f.SURPRISE] for far in (80.0, 200.0, 1e6)]
    assert found == sorted(found)
    assert found[-1] > found[0] + 5


def test_what_happens_each_day_at_the_same_hour_is_no_surprise() -> None:
    times, values = daily(8, noise=0.1)
    at_noon = [value + (50.0 if 140 <= place % PER_DAY < 152 else 0.0) for place, value in enumerate(values)]
    last_day = figures_of(times, at_noon)[-PER_DAY:]
    assert np.abs(last_day[:, f.SURPRISE]).max() < 0.2
    other_day = figures_of(times, [*values[:-PER_DAY], *at_noon[-PER_DAY:]])[-PER_DAY:]
    assert np.abs(other_day[:, f.SURPRISE]).max() > 1.0


def test_a_series_that_rests_loses_its_volatility() -> None:
    times, values = daily(3)
    values[-72:] = np.linspace(values[-73], values[-73] + 0.1, 72).tolist()
    assert figures_of(times, values)[-1][f.VOLATILITY] < -0.7


def test_doublings_of_the_longest_run_of_equal_values_are_counted() -> None:
    times, values = daily(4)
    values[-64:] = [values[-65]] * 64
    frozen = figures_of(times, values)[:, f.FROZEN]
    assert frozen[:-64].max() == 0.0
    # 65 steps against none of them before, and three steps that any series may rest.
    assert frozen[-1] == pytest.approx(np.log2(65 / 3), abs=0.01)
    assert (np.diff(frozen[-62:]) > 0).all()


def test_a_series_that_never_moved_is_not_frozen() -> None:
    times, _ = daily(4)
    assert figures_of(times, [7.0] * len(times))[:, f.FROZEN].max() == 0.0


@given(st.sets(st.integers(48, 400), max_size=10), st.integers(1, PER_HOUR))
@settings(max_examples=15, deadline=None)
def test_a_series_that_moves_in_a_few_hours_only_is_not_frozen_however_long_it_stands_still(
    hours: set[int], samples: int
) -> None:
    times, _ = daily(50)
    values = [1.0] * len(times)
    for hour in hours:
        first = hour * PER_HOUR
        values[first : first + samples] = [float(place % 2) for place in range(samples)]
    assert figures_of(times, values)[:, f.FROZEN].max() == 0.0


def test_nothing_is_forgotten_while_a_series_stands_still() -> None:
    times, values = daily(40)
    for first, length in ((3 * PER_DAY, 2 * PER_DAY), (10 * PER_DAY, 30 * PER_DAY)):
        values[first : first + length] = [values[first]] * length
    # The longest run was of two days, and five days had passed since when the present one began.
    assert figures_of(times, values)[-1, f.FROZEN] == pytest.approx(np.log2(30 / (2 * np.exp(-5 / 14))), abs=0.02)


def test_so_many_bits_are_never_rarer_than_they_say() -> None:
    times, values = daily(20)
    rare = figures_of(times, values)[-10 * PER_DAY :, f.RARE_SEASONAL]
    for bits in (1.0, 2.0, 4.0):
        assert 0.0 < np.mean(rare >= bits) <= 1.1 * 2.0**-bits


def test_a_young_series_is_warming_up_and_an_old_one_is_scoring() -> None:
    states = states_of(*daily(1.5))
    assert states[0] == states[PER_DAY - 1] == "warming_up"
    assert states[PER_DAY + 1] == states[-1] == "scoring"


def test_a_sparse_series_needs_fifty_samples_and_a_day_to_warm_up() -> None:
    assert states_of(*daily(3, step=3600)) == ["warming_up"] * 49 + ["scoring"] * 23


def test_after_a_long_gap_a_series_is_stale_for_a_few_samples() -> None:
    times, values = daily(4)
    after = [time + 86_400 for time in times[-10:]]
    states = states_of([*times[:-10], *after], values)
    assert states[-11:] == ["scoring", *["stale"] * 3, *["scoring"] * 7]


@given(st.sampled_from([15.0, 60.0, STEP, 1_800.0]), st.floats(26.0, 100.0), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_series_that_comes_more_seldom_from_now_on_is_stale_for_a_few_samples_only(
    step: float, times_slower: float, seed: int
) -> None:
    slow = max(step * times_slower, 5_000.0)
    times, values = daily(1 if step < 60.0 else 3, step=step)
    rng = np.random.default_rng(seed)
    later = times[-1] + np.cumsum(slow * rng.uniform(0.8, 1.25, 60))
    states = states_of([*times, *later.tolist()], [*values, *rng.standard_normal(60).tolist()])[-60:]
    assert states[:5] == ["stale"] * 5
    assert "stale" not in states[6:]


def test_a_gap_now_and_then_is_not_the_usual_step() -> None:
    times, values = daily(4)
    late = np.array(times)
    for place in (3 * PER_DAY, 3 * PER_DAY + 1, 3 * PER_DAY + 40, 3 * PER_DAY + 41):
        late[place:] += 7_200.0
    states = states_of(late.tolist(), values)
    assert [place for place, state in enumerate(states) if state == "stale"] == [
        3 * PER_DAY + place for place in (0, 1, 2, 3, 40, 41, 42, 43)
    ]


def test_a_usual_pause_between_samples_is_no_gap() -> None:
    assert "stale" not in states_of(*daily(8, step=4 * 3600))


def test_a_series_silent_for_more_than_its_week_starts_afresh() -> None:
    times, values = daily(2)
    figures = figures_of([*times, times[-1] + 8 * 86_400], [*values, 1e6])
    last = figures[-1]
    assert last[f.BEGINS] == 1.0
    assert last[f.STATE] == 0.0
    assert set(last[: len(FEATURE_NAMES)].tolist()) == {0.0}


def test_a_sample_is_expected_where_this_hour_was_on_other_days() -> None:
    times, values = daily(8, noise=0.1)
    figures = figures_of(times, values)[-PER_DAY:]
    within = (figures[:, f.LOW] <= values[-PER_DAY:]) & (values[-PER_DAY:] <= figures[:, f.HIGH])
    assert within.mean() > 0.99
    assert (figures[:, f.HIGH] - figures[:, f.LOW]).max() < 30


def test_what_half_of_the_days_reach_at_this_hour_is_usual() -> None:
    times, values = daily(8, noise=0.1)
    jobs = [value + (50.0 if 141 <= place % PER_DAY < 143 else 0.0) for place, value in enumerate(values)]
    usual = figures_of(times, jobs)[-PER_DAY:, f.USUAL]
    assert usual[141:143].tolist() == [1.0, 1.0]
    assert usual.mean() > 0.9
    once = figures_of(times, [*values[:-PER_DAY], *jobs[-PER_DAY:]])[-PER_DAY:, f.USUAL]
    assert once[141:143].tolist() == [0.0, 0.0]
    assert figures_of(*daily(1.9))[:, f.USUAL].max() == 0.0, "one day says nothing of what is usual"


def test_samples_that_come_faster_weigh_less() -> None:
    slow = figures_of(*daily(3, seed=1))
    fast = figures_of(*daily(3, seed=1, step=STEP / PER_HOUR))
    # The rarest that a series can look after three days is a matter of time, not of the number of samples.
    assert fast[-1000:, f.RARE_SEASONAL].max() < slow[-100:, f.RARE_SEASONAL].max() + 3.0
