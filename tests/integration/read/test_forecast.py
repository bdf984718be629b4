"""What is expected next, as it is answered: the hours ahead, and when a value is reached."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from db.queries import forecasts
from db.queries.forecasts import NewForecast
from sensus import times
from tests.integration.read.rows import add_series

HOUR = timedelta(hours=1)


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def filling(session: Session, name: str = "disk", **labels: str) -> int:
    """A series at 50 at the beginning of this hour, from where it rises by 10 an hour."""
    series = add_series(session, name, **labels)
    expected = [55.0 + 10.0 * number for number in range(48)]
    low, high = ([value + way * 2.0 for value in expected] for way in (-1, 1))
    forecasts.keep(session, [NewForecast(series.id, this_hour(), 50.0, this_hour(), expected, low, high)])
    return series.id


def asked(client: FlaskClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/forecast", query_string=query)
    assert answer.status_code == 200, answer.text
    (one,) = answer.get_json()["series"]
    return one


def test_the_hours_ahead_are_told_with_their_interval(writer: FlaskClient, session: Session) -> None:
    filling(session, host="a")
    told = asked(writer, metric_name="disk", horizon=3)
    start_s = times.to_epoch(this_hour())
    assert told == {
        "metric_name": "disk",
        "labels": {"host": "a"},
        "known_at": times.isoformat(this_hour()),
        "level": 50.0,
        "per_second": False,
        "hours": [[start_s + 3600 * n, 55.0 + 10 * n, 53.0 + 10 * n, 57.0 + 10 * n] for n in range(3)],
        "time_to_threshold": None,
        "reason": None,
    }
    assert len(asked(writer, match='disk{host="a"}')["hours"]) == 24


def test_what_is_expected_of_a_counter_is_told_to_be_its_growth(writer: FlaskClient, session: Session) -> None:
    series = add_series(session, "requests_total")
    known = NewForecast(series.id, this_hour(), 5.0, this_hour(), [5.0], [4.0], [6.0], per_second=True)
    forecasts.keep(session, [known])
    told = asked(writer, metric_name="requests_total", threshold=9.0)
    assert (told["level"], told["hours"][0][1], told["per_second"]) == (5.0, 5.0, True)
    assert "is below 9 and not expected to reach it" in told["reason"]


@pytest.mark.parametrize(("threshold", "at_h"), [(100.0, 5.0), (55.0, 0.5), (52.5, 0.25)])
def test_a_value_that_will_be_reached_is_told_with_its_time(
    writer: FlaskClient, session: Session, threshold: float, at_h: float
) -> None:
    filling(session)
    told = asked(writer, metric_name="disk", threshold=threshold)
    ahead_s = (this_hour() + at_h * HOUR - times.now()).total_seconds()
    assert told["time_to_threshold"] == pytest.approx(max(ahead_s, 0.0), abs=5)
    assert told["reason"] is None


@pytest.mark.parametrize("threshold", [1000.0, 49.0])
def test_a_value_that_will_not_be_reached_is_told_with_the_reason(
    writer: FlaskClient, session: Session, threshold: float
) -> None:
    filling(session)
    told = asked(writer, metric_name="disk", threshold=threshold, horizon=12)
    assert told["time_to_threshold"] is None
    assert "within 12 hours" in told["reason"]


def test_hours_that_are_over_are_not_ahead(writer: FlaskClient, session: Session) -> None:
    series = add_series(session, "old")
    long_ago = this_hour() - 46 * HOUR
    numbers = [float(number) for number in range(48)]
    forecasts.keep(session, [NewForecast(series.id, long_ago, 0.0, long_ago, numbers, numbers, numbers)])
    told = asked(writer, metric_name="old", horizon=10)
    assert [hour[1] for hour in told["hours"]] == [46.0, 47.0]


@pytest.mark.parametrize(("threshold", "ahead_h"), [(3.0, None), (47.5, 2.0)])
def test_what_was_expected_of_a_series_that_is_gone_has_not_happened(
    writer: FlaskClient, session: Session, threshold: float, ahead_h: float | None
) -> None:
    series = add_series(session, "gone")
    long_ago = this_hour() - 46 * HOUR
    numbers = [float(number) for number in range(49)]
    forecasts.keep(session, [NewForecast(series.id, long_ago, 0.0, long_ago, numbers, numbers, numbers)])
    told = asked(writer, metric_name="gone", threshold=threshold)
    if ahead_h is None:
        assert told["time_to_threshold"] is None
        assert told["reason"] == f"nothing of the series was scored since {times.isoformat(long_ago)}"
    else:
        ahead_s = (this_hour() + ahead_h * HOUR - times.now()).total_seconds()
        assert told["time_to_threshold"] == pytest.approx(ahead_s, abs=5)


def test_a_value_that_is_past_the_threshold_already_is_told_by_its_direction(
    writer: FlaskClient, session: Session
) -> None:
    filling(session)
    assert asked(writer, metric_name="disk", threshold=45, direction="above")["time_to_threshold"] == 0.0
    assert "is above 45 and not expected" in asked(writer, metric_name="disk", threshold=45)["reason"]
    assert asked(writer, metric_name="disk", threshold=60, direction="below")["time_to_threshold"] == 0.0
    told = asked(writer, metric_name="disk", threshold=60, direction="above")
    ahead_s = (this_hour() + HOUR - times.now()).total_seconds()
    assert told["time_to_threshold"] == pytest.approx(max(ahead_s, 0.0), abs=5)


def test_a_newer_forecast_takes_the_place_of_the_old_one(session: Session) -> None:
    series_id = filling(session)
    newer = NewForecast(series_id, this_hour() + HOUR, 1.0, this_hour() + HOUR, [1.0], [0.5], [1.5])
    forecasts.keep(session, [newer])
    kept = forecasts.of_series(session, [series_id, 999])
    assert list(kept) == [series_id]
    assert (kept[series_id].level, kept[series_id].expected) == (1.0, [1.0])


def test_a_series_without_a_forecast_says_so(writer: FlaskClient, session: Session) -> None:
    add_series(session, "new")
    told = asked(writer, metric_name="new", threshold=3)
    assert (told["hours"], told["time_to_threshold"]) == ([], None)
    assert "no forecast yet" in told["reason"]
    assert writer.get("/api/v1/forecast?metric_name=nobody").get_json() == {"series": []}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "metric_name=m&horizon=0",
        "metric_name=m&horizon=49",
        "metric_name=m&threshold=NaN",
        "match=m&end=1",
        "metric_name=m&direction=above",
        "metric_name=m&threshold=1&direction=up",
    ],
)
def test_what_can_t_be_asked_is_refused(writer: FlaskClient, query: str) -> None:
    assert writer.get(f"/api/v1/forecast?{query}").status_code == 422
