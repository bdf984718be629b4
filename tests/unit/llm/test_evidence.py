"""Evidence is ranked by what it has to do with the alert, and named in that order."""

from __future__ import annotations

import contextlib
import json
import random
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.errors import ReplyUnusable
from llm.evidence import ALERT, ANOMALY, CHANGE, RELATED_ALERT, EvidenceItem, number
from llm.evidence_only import evidence_only
from llm.prompt import build
from llm.relevance import identity, label_match, relevance
from llm.reply import read
from tests.unit.llm import cases
from tests.unit.llm.cases import START, item, subject, usual_items


def test_the_alert_itself_is_always_the_first_evidence() -> None:
    case = number(subject(), [item(weight=1.0), item(ALERT, "a second self", weight=1.0)], asked_at=START)
    assert [(one.id, one.kind) for one in case.evidence] == [("E1", ALERT), ("E2", CHANGE)]
    assert case.evidence[0].summary == "HighLatency"


def test_evidence_is_named_from_the_strongest_to_the_weakest() -> None:
    case = number(subject(), reversed(usual_items()), asked_at=START)
    assert [one.kind for one in case.beside_the_alert] == [CHANGE, ANOMALY, RELATED_ALERT]
    assert case.item("E2") is case.evidence[1]
    assert case.item("E9") is None


def test_the_same_thing_found_twice_is_one_piece_of_evidence() -> None:
    assert len(number(subject(), [item(), item()], asked_at=START).evidence) == 2


def test_no_more_evidence_is_kept_than_asked_for() -> None:
    many = [item(summary=f"Deploy {count}", weight=count / 100) for count in range(50)]
    case = number(subject(), many, asked_at=START, limit=10)
    assert len(case.evidence) == 10
    assert case.evidence[1].summary == "Deploy 49"


@given(st.lists(cases.items, max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_evidence_is_found_changes_nothing(found: list[EvidenceItem], chance: random.Random) -> None:
    shuffled = [*found, *found[:3]]
    chance.shuffle(shuffled)
    one, other = (number(subject(), these, asked_at=START) for these in (found, shuffled))
    assert str(one.evidence) == str(other.evidence)


@given(cases.labels, cases.labels, cases.times, cases.kinds, cases.texts)
def test_relevance_is_between_nothing_and_one(mine, theirs, at, kind, text) -> None:  # type: ignore[no-untyped-def]
    assert 0.0 <= relevance(mine, START, theirs, at, kind, text) <= 1.0


def test_a_shared_service_counts_and_a_shared_severity_does_not() -> None:
    mine = {"service": "checkout", "severity": "critical", "replica": "a", "cluster": "eu"}
    assert label_match(mine, {"service": "checkout"}) > 0.6
    assert label_match(mine, {"severity": "critical", "replica": "a"}) == 0.0
    assert label_match(mine, {"cluster": "eu"}) < 0.2
    assert label_match(mine, {"service": "search", "cluster": "eu"}) < 0.1


def test_the_same_thing_under_another_label_name_is_recognised() -> None:
    assert label_match({"service": "checkout"}, {"app": "checkout"}) > 0.6
    assert label_match({"instance": "web03:9100"}, {"host": "web03"}) > 0.6


def test_a_change_is_never_relevant_by_being_recent_alone() -> None:
    just_before = START - timedelta(seconds=30)
    assert (
        relevance({"service": "checkout"}, START, {"service": "search"}, just_before, CHANGE, "Deploy search v9") == 0
    )
    hours_before = START - timedelta(hours=6)
    matching = relevance({"service": "checkout"}, START, {"service": "checkout"}, hours_before, CHANGE)
    assert matching > 0.5


def test_a_change_that_names_the_service_in_its_title_matches() -> None:
    at = START - timedelta(minutes=10)
    assert relevance({"service": "checkout"}, START, {}, at, CHANGE, "Raise pool size of checkout to 5") > 0.4
    assert relevance({"service": "checkout"}, START, {}, at, CHANGE, "Update checkoutless widgets") == 0


def test_a_change_after_the_alert_can_hardly_be_its_cause() -> None:
    mine = {"service": "checkout"}
    before = relevance(mine, START, mine, START - timedelta(minutes=5), CHANGE)
    after = relevance(mine, START, mine, START + timedelta(minutes=5), CHANGE)
    assert after < 0.2 * before


def test_an_anomaly_before_the_alert_weighs_more_than_one_long_before_or_after() -> None:
    mine = {"service": "checkout"}
    near, far, after = (
        relevance(mine, START, mine, START + timedelta(minutes=offset), ANOMALY) for offset in (-3, -300, 20)
    )
    assert near > far
    assert near > after


def test_identity_leaves_out_what_many_alerts_share() -> None:
    labels = {"severity": "critical", "alertname": "X", "replica": "a", "namespace": "shop", "service": "checkout"}
    assert list(identity(labels)) == ["service", "namespace"]


@pytest.mark.parametrize("text", ["a.", "a-", "restart the servers. ", "kubectl ", "\u200bé", "say a b c d "])
def test_megabytes_of_text_in_an_alert_cost_no_time(text: str) -> None:
    huge = text * (200_000 // len(text))
    labels = {f"label{n}": huge for n in range(60)}
    about = subject(labels=labels, annotations=labels)
    found = [item(summary=f"{n} {huge}", labels=labels) for n in range(30)]
    started = time.process_time()
    case = number(about, found, asked_at=START)
    prompt = build(case, num_ctx=4096)
    evidence_only(case, None)
    answer = {"root_cause": huge[:400], "mitigation": huge[:1500], "analysis": huge[:3000], "evidence": ["E1"]}
    with contextlib.suppress(ReplyUnusable):
        read(json.dumps(answer), prompt.case)
    assert time.process_time() - started < 3.0
