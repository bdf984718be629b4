"""What is said of rankings whose truth is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import quality
from bench.quality import Judged, judged

CASES = st.lists(st.builds(Judged, st.one_of(st.none(), st.integers(1, 8)), st.floats(0, 1)), min_size=1, max_size=40)


def test_a_ranking_is_judged_by_the_first_of_the_true_causes() -> None:
    assert judged(["a", "b", "c"], 0.7, {"b", "c"}) == Judged(2, 0.7)
    assert judged(["a", "a", "b"], 0.7, {"b"}).rank == 2, "a service is counted once"
    assert judged(["a"], 0.7, {"z"}).rank is None
    assert judged([], 0.0, {"z"}) == Judged(None, 0.0)


def test_the_figures_of_a_known_table() -> None:
    cases = [Judged(1, 0.9), Judged(1, 0.6), Judged(3, 0.6), Judged(None, 0.1)]
    assert (quality.accuracy(cases, 1), quality.accuracy(cases, 3)) == (0.5, 0.75)
    assert quality.average(cases) == pytest.approx((0.5 + 0.5 + 0.75 + 0.75 + 0.75) / 5)
    assert quality.auroc(cases) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert quality.brier(cases) == pytest.approx((0.01 + 0.16 + 0.36 + 0.01) / 4)


def test_without_a_wrong_answer_nothing_can_be_told_apart() -> None:
    assert quality.auroc([Judged(1, 0.9)]) is None
    assert quality.auroc([Judged(2, 0.9)]) is None


@given(CASES)
def test_the_figures_are_shares_and_every_case_is_in_one_range(cases: list[Judged]) -> None:
    shares = [quality.accuracy(cases, most) for most in range(1, 6)]
    assert shares == sorted(shares)
    assert min(shares) - 1e-9 <= quality.average(cases) <= max(shares) + 1e-9
    assert 0 <= quality.brier(cases) <= 1
    bins = list(quality.reliability(cases))
    assert sum(one.cases for one in bins) == len(cases)
    assert all(one.low - 1e-9 <= one.confidence <= one.high + 1e-9 for one in bins)
    right = sum(one.cases * one.right for one in bins)
    assert right == pytest.approx(sum(case.is_right for case in cases))


@given(CASES)
def test_the_order_of_the_confidences_alone_makes_the_auroc(cases: list[Judged]) -> None:
    halved = [Judged(case.rank, case.confidence / 2) for case in cases]
    turned = [Judged(case.rank, 1 - case.confidence) for case in cases]
    told = quality.auroc(cases)
    if told is None:
        assert quality.auroc(halved) is None
    elif len({case.confidence for case in cases}) == len({case.confidence for case in halved}):
        assert quality.auroc(halved) == pytest.approx(told)
    if told is not None and len({case.confidence for case in cases}) == len({case.confidence for case in turned}):
        assert quality.auroc(turned) == pytest.approx(1 - told)
