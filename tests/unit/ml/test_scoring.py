"""What is worth an alarm, what is refused, and how a second model scores beside the first."""

from dataclasses import replace
from math import inf, isfinite, nan

import pytest

from ml.builtin import builtin_model
from ml.scoring import Scored, Unscored, score_batch
from ml.threshold import DEFAULT_POLICY
from tests.unit.ml.made import PER_DAY, START, STEP, daily, in_batches, scored


def with_a_spike() -> tuple[list[float], list[float]]:
    times, values = daily(3)
    values[700:705] = [200.0] * 5
    return times, values


def test_no_samples_change_nothing() -> None:
    before = scored(*daily(1)).memory
    found = scored([], [], memory=before)
    assert found.memory == replace(before, rings=None)


def test_no_series_give_nothing() -> None:
    assert score_batch(builtin_model(), []) == []


def test_during_the_warm_up_the_score_is_given_and_a_deviation_must_be_gross_to_page() -> None:
    times, values = daily(4)

    def with_spike(at: int, size: float) -> Scored:
        return scored(times[: at + 1], [*values[:at], values[at] + size])

    early, late = with_spike(60, 40.0), with_spike(3 * PER_DAY + 60, 40.0)
    assert (early.states[-1], late.states[-1]) == ("warming_up", "scoring")
    assert early.scores[-1] > max(early.scores[30:-1]) + 0.1
    assert early.anomalies == []
    assert len(late.anomalies) == 1
    assert with_spike(200, 1e4).anomalies


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
        score_batch(builtin_model(), [Unscored([START], [1.0]), Unscored(times, values)])


def test_a_sample_that_is_not_later_than_the_memory_is_refused() -> None:
    memory = scored([START, START + STEP], [1.0, 2.0]).memory
    with pytest.raises(ValueError, match="not later"):
        scored([START + STEP], [1.0], memory=memory)


def test_another_policy_changes_the_verdict_and_not_the_figures() -> None:
    times, values = daily(3)
    lenient = scored(times, values, replace(DEFAULT_POLICY, threshold=0.01))
    strict = scored(times, values)
    assert (lenient.scores, lenient.alerts) == (strict.scores, strict.alerts)
    assert len(lenient.anomalies) > len(strict.anomalies) + 10


def test_a_series_that_comes_back_after_years_has_figures() -> None:
    memory = scored(*daily(9, step=900)).memory
    found = scored([START + 1e8], [1.0], memory=memory)
    assert all(isfinite(figure) for figure in found.scores + found.alerts)


@pytest.mark.parametrize("name", ["isolation_forest", "ensemble"])
def test_a_second_model_says_beside_the_first_what_it_says_alone(name: str) -> None:
    model, challenger = builtin_model(), builtin_model(name)
    times, values = with_a_spike()
    alone = scored(times, values, model=challenger)
    memory, shadow = None, None
    scores: list[float] = []
    alerts: list[float] = []
    for start in range(0, len(times), 100):
        part = Unscored(times[start : start + 100], values[start : start + 100], memory, shadow)
        (found,) = score_batch(model, [part], shadow=challenger)
        assert found.shadow is not None
        scores += found.shadow.scores
        alerts += found.shadow.alerts
        memory, shadow = found.memory, found.shadow_memory
    assert (scores, alerts) == (alone.scores, alone.alerts)
    (beside,) = score_batch(model, [Unscored(times, values)], shadow=challenger)
    assert replace(beside, shadow=None, shadow_memory=None) == scored(times, values)


def test_a_model_that_comes_into_force_in_the_middle_goes_on_at_the_same_sample() -> None:
    times, values = with_a_spike()
    first, second = builtin_model(), builtin_model("ensemble")
    before = scored(times[:600], values[:600], model=first)
    at_once = scored(times[600:], values[600:], model=second, memory=before.memory)
    one_by_one: list[float] = []
    memory = in_batches(times[:600], values[:600], [100, 350], first).memory
    for time, value in zip(times[600:], values[600:], strict=True):
        part = scored([time], [value], model=second, memory=memory)
        memory = replace(part.memory, rings=part.memory.rings or memory.rings)
        one_by_one += part.alerts
    assert one_by_one == at_once.alerts
