"""Pages together are the whole list: nothing twice, nothing left out, whatever is inserted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from db.queries import detector_choices
from db.queries.series_reads import Selector
from tests.integration.read.rows import NOON, add_alert, add_analysis, add_anomaly, add_model, add_series

# The database is shared by the examples, which only makes the lists longer.
shared_database = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLANS = st.tuples(st.integers(0, 12), st.integers(1, 5), st.lists(st.integers(0, 3), max_size=6))


def walk(
    client: FlaskClient,
    path: str,
    limit: int,
    inserted_between: Sequence[int] = (),
    insert: Callable[[], object] = lambda: None,
    **filters: str,
) -> list[int]:
    """Ids of all pages, with rows inserted between the pages."""
    found: list[int] = []
    query: dict[str, Any] = {"limit": limit, **filters}
    waiting = list(inserted_between)
    while True:
        page = client.get(f"/api/v1/{path}", query_string=query).get_json()
        found += [item["id"] for item in page["items"]]
        assert len(page["items"]) <= limit
        if page["next_cursor"] is None:
            return found
        assert len(page["items"]) == limit
        query["cursor"] = page["next_cursor"]
        for _ in range(waiting.pop() if waiting else 0):
            insert()


def assert_complete(found: list[int], before: set[int]) -> None:
    assert len(found) == len(set(found))
    assert before <= set(found)


def makers(session: Session) -> dict[str, Callable[[], int]]:
    alert, series = add_alert(session), add_series(session)
    number = iter(range(10_000))
    return {
        "alerts": lambda: add_alert(session, starts_at=NOON - timedelta(minutes=next(number))).id,
        # Samples that are found strange later may be older, and then lie in the middle of the list.
        "anomalies": lambda: add_anomaly(session, series, NOON - timedelta(minutes=(next(number) * 37) % 10_007)).id,
        "analysis/latest": lambda: add_analysis(session, alert).id,
        "models": lambda: add_model(session, f"v{next(number)}").id,
        "detectors": lambda: detector_choices.choose(session, Selector(f"m{next(number)}"), "ensemble", by="ada").id,
    }


@pytest.mark.parametrize("path", ["alerts", "anomalies", "analysis/latest", "models", "detectors"])
def test_pages_are_complete_while_rows_come_in(writer: FlaskClient, session: Session, path: str) -> None:
    make = makers(session)[path]
    before: set[int] = set()

    @shared_database
    @given(PLANS)
    def check(plan: tuple[int, int, list[int]]) -> None:
        new, limit, inserted_between = plan
        before.update(make() for _ in range(new))
        assert_complete(walk(writer, path, limit), before)
        assert_complete(walk(writer, path, limit, inserted_between, make), before)

    check()


def test_a_filtered_list_is_complete_by_pages(writer: FlaskClient, session: Session) -> None:
    statuses = ["firing", "resolved", "stale"] * 5
    wanted = {alert.id for alert in [add_alert(session, status=one) for one in statuses] if alert.status == "firing"}
    assert sorted(walk(writer, "alerts", 3, status="firing")) == sorted(wanted)
