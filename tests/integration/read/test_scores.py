"""Scores of one series: all of them, exactly as they were stored."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from sensus import times
from tests.integration.read.rows import NOON, add_model, add_scores, add_series


def ask(client: FlaskClient, **query: Any) -> dict[str, Any]:
    answer = client.get("/api/v1/scores", query_string={"metric_name": "load", **query})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def test_scores_are_told_to_the_last_digit_with_state_and_version(writer: FlaskClient, session: Session) -> None:
    series = add_series(session, job="web")
    first, second = add_model(session, "builtin-2"), add_model(session, "v2")
    odd = [0.1 + 0.2, math.nextafter(1.0, 0.0), 5e-324, 1 / 3]
    rows = [(NOON + timedelta(minutes=n, microseconds=1), odd[n], odd[-n - 1], "scoring") for n in range(4)]
    rows[0] = (*rows[0][:3], "warming_up")
    add_scores(session, series, first, rows[:3])
    add_scores(session, series, second, [(*rows[3][:3], "stale")])
    assert ask(writer) == {
        "metric_name": "load",
        "labels": {"job": "web"},
        "scores": [
            [times.to_epoch(rows[0][0]), odd[0], odd[3], "warming_up", "builtin-2"],
            [times.to_epoch(rows[1][0]), odd[1], odd[2], "scoring", "builtin-2"],
            [times.to_epoch(rows[2][0]), odd[2], odd[1], "scoring", "builtin-2"],
            [times.to_epoch(rows[3][0]), odd[3], odd[0], "stale", "v2"],
        ],
        "next_cursor": None,
    }


def test_a_whole_series_comes_in_one_answer_or_by_pages_alike(writer: FlaskClient, session: Session) -> None:
    series, model = add_series(session), add_model(session)
    session.execute(
        text(
            "INSERT INTO scores SELECT :series, now() - make_interval(mins => 5 * n), random(), random(), 1, :model "
            "FROM generate_series(1, 16000) AS n"
        ),
        {"series": series.id, "model": model.id},
    )
    whole = ask(writer)["scores"]
    stored = session.execute(text("SELECT timestamp, score, alert FROM scores ORDER BY timestamp")).all()
    assert [row[:3] for row in whole] == [[times.to_epoch(at), score, alert] for at, score, alert in stored]
    assert len(whole) == 16_000
    paged: list[list[Any]] = []
    cursor: dict[str, str] = {}
    sizes = random.Random(1)
    while True:
        page = ask(writer, limit=sizes.randrange(1000, 4000), **cursor)
        paged += page["scores"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert paged == whole


def test_a_range_holds_both_its_ends(writer: FlaskClient, session: Session) -> None:
    rows = [(NOON + timedelta(minutes=n), n / 10, 0.0, "scoring") for n in range(5)]
    add_scores(session, add_series(session), add_model(session), rows)
    told = ask(writer, start=times.isoformat(rows[1][0]), end=times.to_epoch(rows[3][0]))
    assert [row[1] for row in told["scores"]] == [0.1, 0.2, 0.3]


def test_labels_must_tell_the_series_from_others(writer: FlaskClient, session: Session) -> None:
    model = add_model(session)
    for number in range(8):
        series = add_series(session, job="web", core=str(number))
        add_scores(session, series, model, [(NOON, number / 10, 0.0, "scoring")])
    answer = writer.get("/api/v1/scores", query_string={"metric_name": "load", "label": "job=web"})
    assert answer.status_code == 422
    assert 'load{job="web",core="0"}' in answer.get_json()["message"].replace(
        'core="0",job="web"', 'job="web",core="0"'
    )
    assert ask(writer, label=["job=web", "core=3"])["scores"][0][1] == 0.3
    assert ask(writer, label="core=3")["labels"] == {"job": "web", "core": "3"}


def test_the_series_without_further_labels_can_be_named(writer: FlaskClient, session: Session) -> None:
    for number in range(8):
        add_series(session, job="web", core=str(number))
    add_series(session, job="web")
    assert ask(writer, label="job=web")["labels"] == {"job": "web"}


def test_a_series_that_is_not_scored_yet_has_no_scores(writer: FlaskClient, session: Session) -> None:
    add_series(session)
    assert ask(writer)["scores"] == []


def test_an_unknown_series_is_not_found(writer: FlaskClient) -> None:
    assert writer.get("/api/v1/scores", query_string={"metric_name": "nothing"}).status_code == 404


@pytest.mark.parametrize("cursor", ["", "x", "WzFd", "WyJ5ZXN0ZXJkYXkiXQ"])
def test_a_cursor_of_somebody_else_is_refused(writer: FlaskClient, session: Session, cursor: str) -> None:
    add_series(session)
    answer = writer.get("/api/v1/scores", query_string={"metric_name": "load", "cursor": cursor})
    assert answer.status_code == 422
    assert "cursor" in answer.get_json()["errors"]
