"""Confidence comes from the evidence, and from nothing that a model says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from llm import confidence
from llm.evidence import ANOMALY, CHANGE, RELATED_ALERT, Case, number
from tests.unit.llm import cases
from tests.unit.llm.cases import START, item, subject

ids = st.sets(st.sampled_from([f"E{n}" for n in range(1, 9)]))
some_cases = st.builds(lambda found: number(subject(), found, asked_at=START), st.lists(cases.items, max_size=8))


@given(some_cases, ids)
def test_it_is_between_nothing_and_almost_sure(case: Case, cited: set[str]) -> None:
    assert 0.0 <= confidence.of_cited(case, cited) <= confidence.MOST
    assert 0.0 < confidence.without_model(case) <= confidence.MOST_WITHOUT_MODEL
    assert 0.0 < confidence.when_unknown(case) <= confidence.MOST_WHEN_UNKNOWN


@given(some_cases, ids, ids)
def test_more_cited_evidence_never_lowers_it(case: Case, cited: set[str], more: set[str]) -> None:
    assert confidence.of_cited(case, cited | more) >= confidence.of_cited(case, cited)


@given(some_cases, ids, st.integers(1, 8), st.floats(0, 1))
def test_heavier_cited_evidence_never_lowers_it(case: Case, cited: set[str], place: int, weight: float) -> None:
    if place >= len(case.evidence) or case.evidence[place].id not in cited:
        return
    evidence = list(case.evidence)
    evidence[place] = replace(evidence[place], weight=max(weight, evidence[place].weight))
    heavier = replace(case, evidence=tuple(evidence))
    assert confidence.of_cited(heavier, cited) >= confidence.of_cited(case, cited)


@given(some_cases, ids, st.integers(1, 8), st.floats(0, 1))
def test_stronger_evidence_left_uncited_never_raises_it(case: Case, cited: set[str], place: int, weight: float) -> None:
    if place >= len(case.evidence) or case.evidence[place].id in cited:
        return
    evidence = list(case.evidence)
    evidence[place] = replace(evidence[place], weight=max(weight, evidence[place].weight))
    heavier = replace(case, evidence=tuple(evidence))
    assert confidence.of_cited(heavier, cited) <= confidence.of_cited(case, cited)


def test_the_alert_alone_makes_nobody_sure() -> None:
    case = cases.case()
    assert confidence.of_cited(case, ["E1"]) <= 0.3
    assert confidence.of_cited(case, []) == 0.0
    assert confidence.of_cited(case, ["E99"]) == 0.0


def test_two_kinds_that_agree_count_more_than_two_of_a_kind() -> None:
    alike = number(subject(), [item(weight=0.8), item(summary="Deploy b", weight=0.8)], asked_at=START)
    unlike = number(subject(), [item(weight=0.8), item(ANOMALY, "b", weight=0.8)], asked_at=START)
    assert confidence.of_cited(unlike, ["E2", "E3"]) > confidence.of_cited(alike, ["E2", "E3"])
    assert confidence.of_cited(alike, ["E2", "E3"]) <= confidence.MOST_OF_ONE_KIND


def test_a_change_before_the_alert_counts_more_than_one_after() -> None:
    before, after = (
        number(subject(), [replace(item(), at=START + timedelta(minutes=m))], asked_at=START) for m in (-5, 5)
    )
    assert confidence.of_cited(before, ["E2"]) > confidence.of_cited(after, ["E2"])


def test_weak_evidence_is_never_enough() -> None:
    weak = [item(kind, kind, weight=0.29) for kind in (CHANGE, ANOMALY, RELATED_ALERT, "suspect")]
    case = number(subject(), weak, asked_at=START)
    assert confidence.of_cited(case, ["E2", "E3", "E4", "E5"]) <= confidence.MOST_WHEN_WEAK


def test_strong_evidence_of_several_kinds_is_worth_much() -> None:
    strong = [item(kind, kind, weight=0.95) for kind in (CHANGE, ANOMALY, RELATED_ALERT)]
    case = number(subject(), strong, asked_at=START)
    assert confidence.of_cited(case, ["E2", "E3", "E4"]) > 0.8
