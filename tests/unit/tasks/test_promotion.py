"""A challenger is promoted when it is no worse in anything, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.evaluate import Evaluation
from ml.verdicts import Agreement
from tasks.promotion import LEAST_SHADOW_S, LEAST_SHADOWED, Feedback, Shadow, decide
from tasks.retraining import Comparison

shares = st.floats(0.0, 1.0)
counts = st.integers(0, 50)


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    return Evaluation(12, 72, draw(shares), draw(shares), draw(shares), {}, draw(st.floats(0.0, 20.0)))


@st.composite
def agreements(draw: st.DrawFn, real: int, false: int) -> Agreement:
    return Agreement(real, draw(st.integers(0, real)), false, draw(st.integers(0, false)))


@st.composite
def feedbacks(draw: st.DrawFn) -> Feedback:
    real, false = draw(counts), draw(counts)
    return Feedback(draw(agreements(real, false)), draw(agreements(real, false)))


shadows = st.builds(
    Shadow,
    samples=st.integers(0, 5000),
    challenger_alarms=counts,
    champion_alarms=counts,
    seconds=st.floats(0.0, 1e6),
)
comparisons = st.one_of(
    st.builds(Comparison, candidate=evaluations(), present=evaluations()),
    evaluations().map(lambda same: Comparison(same, same)),
)
OUTCOMES = ("refused", "waits", "promoted")


def equal(evaluation: Evaluation) -> Comparison:
    return Comparison(evaluation, evaluation)


@given(comparisons, feedbacks(), shadows)
def test_what_is_worse_in_anything_is_never_promoted(faults: Comparison, feedback: Feedback, shadow: Shadow) -> None:
    decision = decide(faults, feedback, shadow)
    mine, its = feedback.challenger, feedback.champion
    worse = (
        faults.candidate.average_precision < faults.present.average_precision
        or (
            faults.candidate.detection_rate < faults.present.detection_rate
            and faults.candidate.false_alarms_per_week >= faults.present.false_alarms_per_week
        )
        or mine.real_paged < its.real_paged
        or mine.false_paged > its.false_paged
    )
    if worse or not shadow.is_enough:
        assert decision.outcome != "promoted"
    if worse:
        assert decision.outcome == "refused"
    assert decision.reasons


@given(evaluations(), feedbacks(), shadows)
def test_what_is_equal_in_everything_is_promoted_once_it_scored_enough(
    evaluation: Evaluation, feedback: Feedback, shadow: Shadow
) -> None:
    same = Feedback(feedback.champion, feedback.champion)
    alike = replace(shadow, challenger_alarms=shadow.champion_alarms)
    decision = decide(equal(evaluation), same, alike)
    assert decision.outcome == ("promoted" if alike.is_enough else "waits")


@given(comparisons, feedbacks(), shadows, shares, st.data())
def test_what_is_better_in_anything_never_fares_worse(
    faults: Comparison, feedback: Feedback, shadow: Shadow, gain: float, data: st.DataObject
) -> None:
    candidate = replace(
        faults.candidate,
        average_precision=faults.candidate.average_precision + gain,
        detection_rate=faults.candidate.detection_rate + gain,
        false_alarms_per_week=faults.candidate.false_alarms_per_week * (1.0 - gain),
    )
    mine = feedback.challenger
    better = replace(
        mine,
        real_paged=data.draw(st.integers(mine.real_paged, mine.real)),
        false_paged=data.draw(st.integers(0, mine.false_paged)),
    )
    quieter = replace(shadow, challenger_alarms=data.draw(st.integers(0, shadow.challenger_alarms)))
    before = decide(faults, feedback, shadow).outcome
    after = decide(replace(faults, candidate=candidate), replace(feedback, challenger=better), quieter).outcome
    assert OUTCOMES.index(after) >= OUTCOMES.index(before)


@pytest.mark.parametrize(
    ("champion", "challenger", "outcome"),
    [(0, 3, "promoted"), (0, 4, "refused"), (100, 150, "promoted"), (100, 190, "refused"), (100, 0, "promoted")],
)
def test_a_challenger_that_pages_much_more_often_than_the_champion_is_refused(
    champion: int, challenger: int, outcome: str
) -> None:
    evaluation = Evaluation(12, 72, 0.9, 0.9, 0.9, {}, 1.0)
    agreed = Agreement(0, 0, 0, 0)
    shadow = Shadow(10 * LEAST_SHADOWED, challenger, champion, 2 * LEAST_SHADOW_S)
    assert decide(equal(evaluation), Feedback(agreed, agreed), shadow).outcome == outcome


def test_a_decision_is_told_in_figures() -> None:
    evaluation = Evaluation(12, 72, 0.9, 0.9, 0.9, {"spike": 1.0}, 1.0)
    worse = replace(evaluation, detection_rate=0.5)
    feedback = Feedback(challenger=Agreement(4, 2, 3, 2), champion=Agreement(4, 3, 3, 0))
    shadow = Shadow(LEAST_SHADOWED, 90, 10, 7200.0)
    decision = decide(Comparison(worse, evaluation), feedback, shadow)
    assert [reason.split(":")[0] for reason in decision.reasons] == ["injected faults", "judged samples", "live"]
    told = decision.to_dict()
    assert told["feedback"]["challenger"]["precision"] == 0.5
    assert told["shadow"]["hours"] == 2.0
    assert told["faults"]["candidate"]["detection_rate"] == 0.5
