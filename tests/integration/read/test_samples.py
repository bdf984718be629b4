"""Samples of one series, or of those that a selector means."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from sensus import times
from tests.integration.read.rows import NOON, add_samples, add_series, fill
from web.api.metrics import MOST_POINTS, MOST_SERIES

DAY = {"start": times.isoformat(NOON - timedelta(hours=12)), "end": times.isoformat(NOON + timedelta(hours=12))}


def series(client: FlaskClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/metrics", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["series"]
    return found


def message(client: FlaskClient, **query: Any) -> str:
    answer = client.get("/api/v1/metrics", query_string=query)
    assert answer.status_code == 422, answer.text
    return str(answer.get_json())


def every_minute(count: int, first: datetime = NOON) -> list[tuple[datetime, float]]:
    return [(first + timedelta(minutes=number), number / 7) for number in range(count)]


def test_a_series_is_answered_in_order_to_the_last_digit(writer: FlaskClient, session: Session) -> None:
    points = [(NOON + timedelta(seconds=n, microseconds=n), value) for n, value in enumerate((0.1 + 0.2, 1e-310, -3.0))]
    add_samples(session, add_series(session, "load", job="web"), list(reversed(points)))
    assert series(writer, metric_name="load", **DAY) == [
        {"metric_name": "load", "labels": {"job": "web"}, "samples": [[times.to_epoch(at), v] for at, v in points]}
    ]


def test_both_ends_of_a_range_belong_to_it(writer: FlaskClient, session: Session) -> None:
    add_samples(session, add_series(session), every_minute(5))
    ends = {"since": times.to_epoch(NOON + timedelta(minutes=1)), "until": times.to_epoch(NOON + timedelta(minutes=3))}
    assert [point[1] for point in series(writer, metric_name="load", **ends)[0]["samples"]] == [1 / 7, 2 / 7, 3 / 7]


def test_without_a_range_the_last_hour_is_answered_with_what_lies_a_little_ahead(
    writer: FlaskClient, session: Session
) -> None:
    now = times.now()
    points = [(now + timedelta(minutes=minutes), float(minutes)) for minutes in (-90, -50, -1, 5)]
    add_samples(session, add_series(session), points)
    assert [point[1] for point in series(writer, metric_name="load")[0]["samples"]] == [-50.0, -1.0, 5.0]


def test_a_step_answers_the_mean_of_each_stretch_at_its_beginning(writer: FlaskClient, session: Session) -> None:
    add_samples(session, add_series(session), [(NOON + timedelta(seconds=s), v) for s, v in ((10, 1.0), (50, 4.0))])
    add_samples(session, add_series(session, zone="2"), [(NOON + timedelta(seconds=70), 1e200)])
    noon = times.to_epoch(NOON)
    assert [one["samples"] for one in series(writer, metric_name="load", step="1m", **DAY)] == [
        [[noon, 2.5]],
        [[noon + 60, 1e200]],
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"metric_name": "load"}, ["a1", "a2", "b", "none"]),
        ({"metric_name": "load", "label": "job=a"}, ["a1", "a2"]),
        ({"metric_name": "load", "label": ["job=a", "n=2"]}, ["a2"]),
        ({"metric_name": "load", "label": "job="}, ["none"]),
        ({"metric_name": "nothing"}, []),
        ({"match": "load"}, ["a1", "a2", "b", "none"]),
        ({"match": 'load{job="a"}'}, ["a1", "a2"]),
        ({"match": 'load{job!="a"}'}, ["b", "none"]),
        ({"match": 'load{job=~"a|b"}'}, ["a1", "a2", "b"]),
        ({"match": 'load{job=~"a|b",n!~"1"}'}, ["a2", "b"]),
        ({"match": 'load{job=~".*"}'}, ["a1", "a2", "b", "none"]),
        ({"match": 'load{job=~".+"}'}, ["a1", "a2", "b"]),
        ({"match": 'load{who=~"a"}'}, []),
        ({"match": '{__name__="load",who="none"}'}, ["none"]),
    ],
)
def test_a_selector_means_what_it_means_in_prometheus(
    writer: FlaskClient, session: Session, query: dict[str, Any], expected: list[str]
) -> None:
    labels: list[dict[str, str]] = [
        {"who": "a1", "job": "a", "n": "1"},
        {"who": "a2", "job": "a", "n": "2"},
        {"who": "b", "job": "b"},
        {"who": "none"},
    ]
    for one in labels:
        add_samples(session, add_series(session, **one), every_minute(1))
    add_samples(session, add_series(session, "other", job="a"), every_minute(1))
    add_series(session, job="a", who="without a sample")
    assert [one["labels"]["who"] for one in series(writer, **query, **DAY)] == expected


@pytest.mark.parametrize("pattern", ["(", "[", "a**", "(a)\\\\1", "(?=a)b"])
def test_a_pattern_that_cannot_be_used_is_refused(writer: FlaskClient, session: Session, pattern: str) -> None:
    add_samples(session, add_series(session, job="a"), every_minute(1))
    assert message(writer, match=f'load{{job=~"{pattern}"}}', **DAY)


def test_a_pattern_that_never_ends_is_cut_off_or_answered_soon(writer: FlaskClient, session: Session) -> None:
    add_samples(session, add_series(session, job="a" * 200), every_minute(1))
    assert series(writer, match='load{job=~"(a+)+b"}', **DAY) == []


def test_too_many_series_are_refused_with_what_to_do(writer: FlaskClient, session: Session) -> None:
    for number in range(MOST_SERIES):
        add_samples(session, add_series(session, n=str(number)), every_minute(1))
    assert len(series(writer, metric_name="load", **DAY)) == MOST_SERIES
    add_samples(session, add_series(session, n="one more"), every_minute(1))
    assert "more labels" in message(writer, metric_name="load", **DAY)


def test_series_that_ended_before_the_range_do_not_count(writer: FlaskClient, session: Session) -> None:
    for number in range(MOST_SERIES + 1):
        add_samples(session, add_series(session, n=str(number)), every_minute(1, NOON - timedelta(days=1)))
    add_samples(session, add_series(session, n="alive"), every_minute(1))
    assert [one["labels"]["n"] for one in series(writer, metric_name="load", **DAY)] == ["alive"]


def test_too_many_points_are_refused_with_what_to_do_and_a_step_helps(writer: FlaskClient, session: Session) -> None:
    one = add_series(session)
    add_samples(session, one, every_minute(1))
    start = "now() - interval '3 days'"
    fill(
        session,
        f"INSERT INTO samples SELECT {one.id}, {start} + make_interval(secs => n), n "
        f"FROM generate_series(1, {MOST_POINTS}) AS n",
    )
    wide = {"start": times.isoformat(times.now() - timedelta(days=4))}
    assert "`step`" in message(writer, metric_name="load", **wide)
    averaged = series(writer, metric_name="load", step="1h", **wide)[0]["samples"]
    assert 14 <= len(averaged) <= 16


@pytest.mark.parametrize("query", [{"start": "9999-12-31T23:59:59Z"}, {"end": "0001-01-01T00:00:00Z"}])
def test_the_ends_of_the_calendar_are_ranges_without_a_sample(
    writer: FlaskClient, session: Session, query: dict[str, str]
) -> None:
    add_samples(session, add_series(session), every_minute(1))
    assert series(writer, metric_name="load", **query) == []
