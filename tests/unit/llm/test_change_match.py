"""A change weighs by where it was made and what it contains; that it is recent says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.change_match import Surroundings, service_match, weigh

START = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
AROUND = Surroundings(
    started_at=START,
    labels={"alertname": "HighLatency", "service": "checkout", "namespace": "shop", "environment": "production"},
    members=frozenset({"checkout", "web"}),
    hosts=frozenset({"node-7"}),
    neighbours=frozenset({"payments"}),
    suspects={"orders-db": 1.0, "checkout": 0.4},
)


def match(title: str = "a change", **labels: str) -> float:
    return service_match(labels, title, AROUND)


def test_the_first_suspect_comes_before_a_member_and_that_before_a_neighbour() -> None:
    order = [match(service=name) for name in ("orders-db", "checkout", "web", "payments", "mailer")]
    assert order == sorted(order, reverse=True)
    assert order[0] > order[2] > order[3] > order[4] == 0.0


def test_a_title_names_a_service_where_no_label_does() -> None:
    assert match("Deploy orders-db 7") == match(service="orders-db") > 0.9
    assert match("Deploy orders-db-exporter 7") == 0.0
    assert match("Fix what checkout does", service="mailer") == 0.0


def test_what_was_made_in_another_environment_hardly_counts() -> None:
    assert match(service="checkout", environment="staging") < 0.4 * match(service="checkout", environment="production")


def test_a_change_of_the_host_counts() -> None:
    assert match(instance="node-7:9100") >= 0.6


def test_a_diff_that_explains_the_trouble_counts_wherever_it_was_made() -> None:
    made = {"started_at": START, "changed_at": START - timedelta(hours=3)}
    assert weigh(0.0, 0.0, 1.0, **made) > 0.2
    assert weigh(0.0, 1.0, None, **made) == 0.0
    assert weigh(1.0, 0.0, 1.0, **made) > weigh(1.0, 0.0, None, **made) > weigh(1.0, 0.0, 0.0, **made)
    assert weigh(1.0, 1.0, None, **made) > weigh(1.0, 0.0, None, **made)


@given(st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(0, 1), st.timedeltas(timedelta(hours=-24), timedelta(0)))
def test_a_weight_is_one_and_nothing_is_a_cause_by_its_age(
    service: float, content: float, harm: float | None, age: timedelta
) -> None:
    weight = weigh(service, content, harm, started_at=START, changed_at=START + age)
    assert 0.0 <= weight <= 1.0
    if service == 0.0 and not harm:
        assert weight == 0.0
    late = weigh(service, content, harm, started_at=START, changed_at=START + timedelta(minutes=5))
    assert late <= 0.15 * weight + 1e-9 or weight == 0.0


@pytest.mark.parametrize("title", ["", "(", "Deploy [orders-db", "\\"])
def test_any_title_is_compared(title: str) -> None:
    assert 0.0 <= match(title) <= 1.0
