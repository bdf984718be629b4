"""One code path: batches, memory, causality, contributions, refusals, and what is worth an alarm."""

from dataclasses import replace
from itertools import pairwise
from math import inf, isfinite, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.builtin import builtin_model
from ml.errors import MemoryRejected
from ml.features import FEATURE_NAMES
from ml.scoring import Batch, Figures, score_batch
from ml.threshold import DEFAULT_POLICY, Policy
from tests.unit.ml.made import PER_DAY, START, STEP, daily, samples, unrolled

HOUR = 12


def scored(times: list[float], values: list[float], policy: Policy = DEFAULT_POLICY) -> list[Figures]:
    return score_batch(builtin_model(), None, times, values, policy).figures


def alarms(figures: list[Figures]) -> list[int]:
    return [number for number, figure in enumerate(figures) if figure.anomaly]


def in_batches(times: list[float], values: list[float], cuts: list[int]) -> Batch:
    memory: bytes | None = None
    figures: list[Figures] = []
    bounds = [0, *cuts, len(times)]
    for start, end in pairwise(bounds):
        batch = score_batch(builtin_model(), memory, times[start:end], values[start:end])
        memory = batch.memory
        figures += batch.figures
    assert memory is not None
    return Batch(figures, memory)


@given(samples, st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_way_to_cut_a_series_into_batches_gives_the_same_figures_and_memory(
    pairs: list[tuple[float, float]], cuts: list[int]
) -> None:
    times, values = unrolled(pairs)
    cuts = sorted(min(cut, len(times)) for cut in cuts)
    assert in_batches(times, values, cuts) == score_batch(builtin_model(), None, times, values)


def test_a_long_series_scored_sample_by_sample_gives_the_same_figures() -> None:
    times, values = daily(3)
    values[700:705] = [200.0] * 5
    whole = score_batch(builtin_model(), None, times, values)
    assert in_batches(times, values, list(range(600, 800))) == whole
    assert alarms(whole.figures)


@pytest.mark.parametrize("cut", [1, 50, 289, 702, 863])
def test_cutting_the_future_off_changes_nothing(cut: int) -> None:
    times, values = daily(3)
    values[700:705] = [200.0] * 5
    assert scored(times[:cut], values[:cut]) == scored(times, values)[:cut]


@given(samples)
@settings(max_examples=60, deadline=None)
def test_figures_of_any_finite_series_lie_between_0_and_1(pairs: list[tuple[float, float]]) -> None:
    for figure in scored(*unrolled(pairs)):
        assert 0 <= figure.score <= 1
        assert 0 <= figure.alert <= 1


def test_one_sample_has_a_score_and_no_alarm() -> None:
    (figure,) = scored([START], [3.0])
    assert figure.state == "warming_up"
    assert figure.anomaly is None
    assert 0 < figure.score < 1


def test_no_samples_change_nothing() -> None:
    batch = score_batch(builtin_model(), None, *daily(1))
    assert score_batch(builtin_model(), batch.memory, [], []) == Batch([], batch.memory)


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**20])
def test_a_series_in_another_unit_has_the_same_scores(factor: float) -> None:
    times, values = daily(2)
    other = scored(times, [value * factor for value in values])
    assert [f.score for f in other] == [f.score for f in scored(times, values)]


def test_an_anomaly_says_what_was_expected_and_names_its_reasons_strongest_first() -> None:
    times, values = daily(4)
    values[-1] = 120.0
    figure = scored(times, values)[-1]
    assert figure.anomaly is not None
    anomaly = figure.anomaly
    assert anomaly.threshold == DEFAULT_POLICY.threshold <= figure.alert
    assert anomaly.expected_low < 50 < anomaly.expected_high < 120
    assert {part.name for part in anomaly.contributions} == set(FEATURE_NAMES)
    strengths = [part.contribution for part in anomaly.contributions]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] > 0
    assert anomaly.contributions[0].value > 0


def test_a_bigger_spike_scores_higher() -> None:
    times, values = daily(4)
    scores = [scored(times, [*values[:-1], far])[-1].score for far in (65.0, 80.0, 120.0, 500.0, 1e5, 1e12)]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)


def test_during_the_warm_up_the_score_is_given_and_a_deviation_must_be_gross_to_page() -> None:
    times, values = daily(4)

    def with_spike(at: int, size: float) -> Figures:
        return scored(times[: at + 1], [*values[:at], values[at] + size])[-1]

    early, late = with_spike(60, 40.0), with_spike(3 * PER_DAY + 60, 40.0)
    assert (early.state, late.state) == ("warming_up", "scoring")
    assert early.score > 0.6
    assert early.alert < early.score
    assert early.anomaly is None
    assert late.anomaly is not None
    assert with_spike(200, 1e4).anomaly is not None


@pytest.mark.parametrize("level", [0.0, 5.0, 1e9])
def test_a_constant_series_that_moves_is_flagged(level: float) -> None:
    times, _ = daily(3)
    values = [level] * len(times)
    moved = level * 1.2 or 1.0
    values[-6:] = [moved] * 6
    found = alarms(scored(times, values))
    assert found
    assert min(found) >= len(times) - 6


def test_a_level_shift_is_flagged_once_and_is_ordinary_after_a_day() -> None:
    times, values = daily(12, noise=2.0)
    at = 6 * PER_DAY + 100
    shifted = [value + (60.0 if number >= at else 0.0) for number, value in enumerate(values)]
    found = [number for number in alarms(scored(times, shifted)) if number >= at]
    assert found
    assert found[0] - at < HOUR
    assert max(found) < at + PER_DAY


def test_a_daily_job_is_not_flagged_after_the_third_day() -> None:
    times, values = daily(10)
    with_job = [value + (80.0 if number % PER_DAY in range(30, 36) else 0.0) for number, value in enumerate(values)]
    assert [number for number in alarms(scored(times, with_job)) if number >= 3 * PER_DAY] == []


def test_a_noisy_daily_series_raises_no_alarm() -> None:
    for seed in range(4):
        assert alarms(scored(*daily(14, seed=seed))) == []


def test_a_gap_raises_no_alarm() -> None:
    times, values = daily(8)
    kept = [(t, v) for n, (t, v) in enumerate(zip(times, values, strict=True)) if not 1000 <= n < 1600]
    assert alarms(scored([t for t, _ in kept], [v for _, v in kept])) == []


@pytest.mark.parametrize(
    ("times", "values"),
    [
        ([START, START], [1.0, 2.0]),
        ([START + 1, START], [1.0, 2.0]),
        ([START], [1.0, 2.0]),
        ([START], [nan]),
        ([START], [inf]),
        ([inf], [1.0]),
    ],
)
def test_samples_that_break_the_rules_are_refused(times: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError):
        score_batch(builtin_model(), None, times, values)


def test_a_sample_that_is_not_later_than_the_memory_is_refused() -> None:
    memory = score_batch(builtin_model(), None, [START, START + STEP], [1.0, 2.0]).memory
    with pytest.raises(ValueError, match="not later"):
        score_batch(builtin_model(), memory, [START + STEP], [1.0])


@pytest.mark.parametrize("damaged", [b"", b"x" * 50, b"x" * 7000])
def test_a_memory_that_cannot_be_read_is_refused(damaged: bytes) -> None:
    with pytest.raises(MemoryRejected):
        score_batch(builtin_model(), damaged, [START], [1.0])


def test_another_policy_changes_the_verdict_and_not_the_score() -> None:
    times, values = daily(3)
    lenient = scored(times, values, replace(DEFAULT_POLICY, threshold=0.05))
    assert [f.score for f in lenient] == [f.score for f in scored(times, values)]
    assert len(alarms(lenient)) > 100


def test_the_memory_of_a_series_has_a_fixed_size_under_eight_kilobytes() -> None:
    short = score_batch(builtin_model(), None, [START], [1.0]).memory
    long = score_batch(builtin_model(), None, *daily(40, step=900)).memory
    assert len(short) == len(long) < 8_000
    assert all(isfinite(f.score) for f in score_batch(builtin_model(), long, [START + 1e8], [1.0]).figures)
    assert np.frombuffer(short, dtype=np.uint8).size == len(short)
