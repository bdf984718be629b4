"""Texts are found by the words they share, and incidents by what they were about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.retrieval import scores, terms
from llm.runbook_match import Link, Question, Text, link_of, match
from llm.similar import Profile, by_meaning, similarities, weigh

words = st.text(alphabet="abcdeXYZ -_./\u00e4\u4e2d1", max_size=60)


def test_a_name_is_found_whole_and_by_its_parts() -> None:
    assert terms("HighLatency of the orders-db") == ["highlatency", "high", "latency", "orders-db", "order", "db"]


@given(words)
def test_terms_are_small_and_never_empty(text: str) -> None:
    assert all(term and term == term.lower() and "\x00" not in term for term in terms(text))


@given(st.lists(words, max_size=8), words)
def test_a_score_lies_between_0_and_1_and_needs_a_word_in_common(texts: list[str], question: str) -> None:
    asked = dict.fromkeys(terms(question), 1.0)
    for text, score in zip(texts, scores(asked, [terms(text) for text in texts]), strict=True):
        assert 0.0 <= score <= 1.0
        assert (score > 0) == bool(set(terms(text)) & asked.keys())


def test_a_rare_word_counts_for_more_than_a_common_one() -> None:
    documents = [terms(text) for text in ("latency pool", "latency", "latency", "pool of swimmers", "disk")]
    found = scores({"latency": 1.0, "pool": 1.0}, documents)
    assert found[0] == max(found)
    assert found[3] > found[1]


def profile(*names: str, services: tuple[str, ...] = (), text: str = "", suspect: str | None = None) -> Profile:
    return Profile(services=frozenset(services), alert_names=frozenset(names), text=text, suspect=suspect)


def test_the_same_alert_of_the_same_service_is_the_most_alike() -> None:
    present = profile("HighLatency", services=("checkout",), text="latency of checkout", suspect="orders-db")
    past = [
        profile("HighLatency", services=("checkout",), text="latency of checkout", suspect="orders-db"),
        profile("HighLatency", services=("checkout",), text="latency of checkout", suspect="redis"),
        profile("DiskFull", services=("checkout",), text="disk of checkout"),
        profile("DiskFull", services=("mailer",), text="disk of mailer"),
    ]
    found = similarities(present, past)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[1] > found[2] > found[3]
    assert all(0.0 <= each <= 1.0 for each in found)


def test_what_means_the_same_in_other_words_is_alike() -> None:
    present, past = profile(text="checkout is sluggish"), [profile(text="slow basket"), profile(text="mails lost")]
    assert similarities(present, past, {0: 0.95})[0] > similarities(present, past)[0]
    assert by_meaning(None) == by_meaning(0.3) == 0.0


def test_a_confirmed_cause_weighs_more_than_what_a_model_said() -> None:
    assert (
        weigh(0.8, is_confirmed=True, was_helpful=False)
        > weigh(0.8, is_confirmed=False, was_helpful=True)
        > weigh(0.8, is_confirmed=False, was_helpful=False)
    )


SECTIONS = [
    Text("checkout.md", "Checkout", "checkout", "Who owns it"),
    Text("checkout.md", "Pool exhausted", "pool-exhausted", "connections of orders-db"),
    Text("mailer.md", "HighLatency", "highlatency", "wait"),
    Text("disk-full.md", "What to do", "what-to-do", "delete old logs"),
]


def matched(*names: str, url: str | None = None, said: str = "", services: tuple[str, ...] = ()) -> list[float]:
    link = link_of(url)
    question = Question(alert_names=names, services=services, said=said, links=[link] if link else [])
    return match(question, SECTIONS)


def best(found: list[float]) -> int:
    return max(range(len(found)), key=found.__getitem__)


def test_a_linked_section_comes_first_then_one_of_the_alerts_name() -> None:
    linked = matched("HighLatency", url="https://wiki.example.org/runbooks/checkout.md#pool-exhausted")
    assert best(linked) == 1
    assert best(matched("HighLatency")) == 2
    assert best(matched("DiskFull")) == 3, "a file may be called like the alert"
    assert best(matched(said="the connections of orders-db are used up")) == 1
    assert best(matched(url="https://wiki.example.org/pool-exhausted/")) == 1


@pytest.mark.parametrize("url", [None, "", "http://[", "https://wiki.example.org/", "::::", "#"])
def test_a_link_to_nothing_is_none(url: str | None) -> None:
    assert link_of(url) is None or link_of(url) == Link("::::", "")


def test_a_search_has_words_that_postgresql_takes() -> None:
    question = Question(alert_names=["High'Latency & | ! :*"], services=["orders-db"], said="a b 'c' \\ größe")
    assert all(word.isascii() and word.isalnum() for word in question.plain_words())
