"""What people complain about in such systems, each as a promise of ours.

`declared` are the times after which something new is ordinary; the documentation names the same.
"""

from math import log1p

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import detectors
from ml.builtin import builtin_model
from ml.scoring import Unscored, score_batch
from ml.threshold import DEFAULT_POLICY
from tests.unit.ml.made import PER_DAY, PER_HOUR, START, STEP, alarms, daily, scored

A_SHIFT_IS_ORDINARY_AFTER_DAYS = 6
A_DAILY_JOB_IS_ORDINARY_AFTER_DAYS = 2


@pytest.mark.parametrize("spreads", [1.0, 3.0, 10.0])
def test_a_level_shift_pages_and_stops_being_anomalous(spreads: float) -> None:
    times, values = daily(20, noise=2.0)
    at = 10 * PER_DAY + 100
    shifted = [value + (20.0 * spreads if place >= at else 0.0) for place, value in enumerate(values)]
    found = scored(times, shifted)
    pages = [anomaly.sample for anomaly in found.anomalies if anomaly.sample >= at]
    assert pages
    assert pages[0] - at < PER_HOUR
    # A few times while it rises, and once more after the hold-off; then it is no news any more.
    assert len(pages) <= 5
    assert max(pages) < at + PER_DAY
    usual = float(np.quantile(found.scores[7 * PER_DAY : at], 0.99))
    assert max(found.scores[at + A_SHIFT_IS_ORDINARY_AFTER_DAYS * PER_DAY :]) <= usual
    assert max(found.scores[at : at + PER_HOUR]) > usual


def test_stuck_at_full_is_told_and_then_forgotten() -> None:
    times, values = daily(18, noise=3.0)
    at = 10 * PER_DAY + 60
    stuck = [min(value, 95.0) if place < at else 100.0 for place, value in enumerate(values)]
    found = scored(times, stuck)
    pages = [anomaly.sample for anomaly in found.anomalies if anomaly.sample >= at]
    assert pages
    assert pages[0] - at < PER_HOUR
    assert max(pages) < at + 4 * PER_DAY
    assert len(pages) <= 10
    usual = float(np.quantile(found.scores[7 * PER_DAY : at], 0.99))
    assert max(found.scores[at + A_SHIFT_IS_ORDINARY_AFTER_DAYS * PER_DAY :]) <= usual


@pytest.mark.parametrize(("minutes", "height"), [(10, 30.0), (60, 30.0), (60, 100.0), (180, 60.0)])
def test_a_daily_job_is_not_flagged_after_two_days(minutes: int, height: float) -> None:
    series = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        times = START + STEP * np.arange(10 * PER_DAY)
        values = 10 + rng.standard_normal(len(times))
        into_the_day = (times / 60) % 1440
        values[(into_the_day >= 200) & (into_the_day < 200 + minutes)] += height
        series.append(Unscored(times.tolist(), values.tolist()))
    since = A_DAILY_JOB_IS_ORDINARY_AFTER_DAYS * PER_DAY
    found = [[a.sample for a in one.anomalies if a.sample >= since] for one in score_batch(builtin_model(), series)]
    # The noise may make one of 24 jobs so large that it is news.
    assert sum(len(late) for late in found) <= 1


@pytest.mark.parametrize("level", [0.0, 7.0, -1e6])
def test_a_constant_series_that_moves_is_flagged_at_once(level: float) -> None:
    times, _ = daily(6)
    values = [level] * len(times)
    at = 5 * PER_DAY
    values[at] += abs(level) / 50 or 1.0
    assert alarms(times, values)[:1] == [at]


@given(
    seed=st.integers(0, 3),
    at=st.integers(PER_DAY, 4 * PER_DAY - 1),
    sign=st.sampled_from([-1.0, 1.0]),
    far=st.lists(st.floats(0.5, 1000.0), min_size=2, max_size=6, unique=True),
)
@settings(max_examples=30, deadline=None)
def test_a_bigger_deviation_never_scores_lower(seed: int, at: int, sign: float, far: list[float]) -> None:
    times, values = daily(4, seed=seed)
    before = scored(times[:at], values[:at]).memory
    spread = 20.0
    asked = [Unscored([times[at]], [50.0 + sign * (spread + spread * one)], before) for one in sorted(far)]
    found = score_batch(builtin_model(), asked)
    scores, alerts = [one.scores[0] for one in found], [one.alerts[0] for one in found]
    assert scores == sorted(scores)
    assert alerts == sorted(alerts)


def test_scores_grow_with_the_value_without_an_upper_end_in_sight() -> None:
    times, values = daily(4)
    before = scored(times[:-1], values[:-1]).memory
    far = [65.0, 80.0, 120.0, 500.0, 1e4, 1e6]
    found = score_batch(builtin_model(), [Unscored(times[-1:], [one], before) for one in far])
    scores = [one.scores[0] for one in found]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)


def test_sparse_data_are_scored_after_fifty_samples_or_a_day_whichever_is_later() -> None:
    hourly = scored(*daily(4, step=3600)).states
    assert hourly.index("scoring") == 49
    six_hourly = scored(*daily(20, step=6 * 3600)).states
    assert six_hourly.index("scoring") == 49


def test_the_reasons_name_what_was_done_to_the_series() -> None:
    times, values = daily(9, noise=0.5)
    at = 8 * PER_DAY + 30
    night = [*values[:at], values[at] + 25.0]  # ordinary at noon, and not at half past two
    reasons = scored(times[: at + 1], night).anomalies[-1].contributions
    assert reasons[0].name in ("surprise", "seasonal", "departure")
    assert reasons[0].value > log1p(0.5)
    frozen = [*values[:at], *[values[at]] * (2 * PER_DAY)]
    found = scored(times[:at] + [times[at] + STEP * place for place in range(2 * PER_DAY)], frozen)
    assert found.anomalies
    assert found.anomalies[-1].contributions[0].name == "frozen"


@pytest.mark.parametrize("name", detectors.names())
def test_a_gauge_that_is_mostly_constant_pages_when_it_moves_and_not_for_standing_still(name: str) -> None:
    times, _ = daily(70)
    blip, rollouts = [1.0] * len(times), [3.0] * len(times)
    blip[10 * PER_DAY] = 0.0
    for day in range(4, 20):  # a few changes within the same hour, then nothing for weeks
        rollouts[day * PER_DAY : day * PER_DAY + 6] = [4.0, 3.0, 4.0, 5.0, 4.0, 3.0]
    model = builtin_model(name)
    assert {place // PER_DAY for place in alarms(times, blip, model)} == {10}
    assert max(alarms(times, rollouts, model)) < 20 * PER_DAY


def test_what_comes_on_no_clock_wears_off_as_a_usual_peak() -> None:
    # Something that comes each 31 hours is explained by no day and no week, and yet it is usual.
    times, values = daily(28, noise=0.5)
    every = [value + (25.0 if place % (31 * PER_HOUR) < 6 else 0.0) for place, value in enumerate(values)]
    late = [place for place in alarms(times, every) if place >= 7 * PER_DAY]
    assert len(late) <= 4  # of 16 times


def test_the_threshold_is_one_for_all_series() -> None:
    assert DEFAULT_POLICY.threshold == 0.5
