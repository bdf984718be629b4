"""What is drawn from the hours of a week is what a plain look at them says."""

from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import hours
from ml import memory as m
from ml.detectors.base import FloatArray

Hours = list[tuple[int, float]]
# (hours since the one before, its mean): mostly one after the other, now and then with a hole
runs = st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 2, 30, 200]), st.floats(-1e6, 1e6)), min_size=1, max_size=400)


def filled(lengths: Hours) -> tuple[FloatArray, FloatArray, dict[int, float]]:
    """State and rings after hours of one sample each, and the same as a table."""
    now, rings, table = np.zeros(m.NOW), np.full((4, m.HOURS), nan), {}
    hour = 500_000
    now[m.HOUR] = hour
    for passed, mean in lengths:
        hours.enter(now, mean)
        table[int(now[m.HOUR])] = mean
        hours.turn(now, rings, int(now[m.HOUR]) + passed)
    return now, rings, table


@given(runs)
@settings(max_examples=60, deadline=None)
def test_the_week_is_described_by_its_hours(lengths: Hours) -> None:
    now, _, table = filled(lengths)
    present = int(now[m.HOUR])
    week = sorted(mean for hour, mean in table.items() if present - m.HOURS <= hour < present)
    if not week:
        return
    assert now[m.MEDIAN] == pytest.approx(float(np.median(week)))
    assert now[m.LOW_DECILE] == week[(len(week) - 1) // 10]
    assert now[m.HIGH_DECILE] == week[len(week) - 1 - (len(week) - 1) // 10]
    old = [mean for hour, mean in table.items() if present - m.HOURS <= hour < present - hours.OLD_HOURS]
    if old:
        assert (now[m.OLD_LOW], now[m.OLD_HIGH]) == (min(old), max(old))
    else:
        assert now[m.OLD_LOW] > now[m.OLD_HIGH]


@given(runs)
@settings(max_examples=60, deadline=None)
def test_the_season_is_this_hour_of_the_day_on_the_days_before(lengths: Hours) -> None:
    now, _, table = filled(lengths)
    present = int(now[m.HOUR])
    same = []
    for day in range(1, 8):
        for hour in (present - 24 * day, present - 24 * day - 1, present - 24 * day + 1):
            if hour in table and present - m.HOURS <= hour:
                same.append(table[hour])
                break
    if same:
        assert now[m.SEASON] == pytest.approx(float(np.median(same)))
    else:
        assert np.isnan(now[m.SEASON])


def test_a_day_remembers_the_same_hour_of_seven_days() -> None:
    now, _, _ = filled([(1, float(hour // 24)) for hour in range(168)])
    assert (now[m.SEASON_LOW], now[m.SEASON], now[m.SEASON_HIGH]) == (0.0, 3.0, 6.0)


def test_the_mean_of_an_hour_of_the_week_follows_with_each_week() -> None:
    weeks = 6
    now, rings, _ = filled([(1, float(hour // 168)) for hour in range(weeks * 168)])
    expected = 0.0
    for week in range(1, weeks):
        expected += hours.WEEK_GAIN * (week - expected)
    assert now[m.WEEKLY] == pytest.approx(expected)
    assert rings[m.RING_WEEK] == pytest.approx(expected)


def test_what_is_older_than_a_week_leaves_the_ring_but_not_the_week() -> None:
    _, rings, _ = filled([*[(1, 5.0)] * 168, (167, 7.0)])
    assert np.isfinite(rings[m.RING_MEAN]).sum() == 1 + 1  # the last hour, and the one a week less one hour ago
    assert np.isfinite(rings[m.RING_WEEK]).all()


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9))
def test_the_middle_is_the_median(values: list[float]) -> None:
    assert hours.middle(np.array(sorted(values))) == pytest.approx(float(np.median(np.array(values))))


def test_the_middle_of_two_of_the_largest_numbers_is_finite() -> None:
    assert hours.middle(np.array([1.7e308, 1.7e308])) == 1.7e308
