"""A label gone wild can't fill the database: a caller may make so many new series in an hour, and no sample of a known
series suffers for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.models import Series
from db.queries import new_series
from db.session import Database
from sensus.settings import Settings
from tests.factories import in_snappy, samples, write_request
from web.app import create_app
from web.resources import resources

MOST = 5


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"new_series_per_hour": MOST})


def of_series(*numbers: int) -> list[dict[str, Any]]:
    return [sample for number in numbers for sample in samples(1, labels={"request_id": str(number)})]


def send(client: FlaskClient, body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/metrics", json=body)
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def series_count(session: Session) -> int:
    return session.scalar(select(func.count(Series.id))) or 0


def test_samples_of_new_series_beyond_the_allowance_are_refused_one_by_one(
    writer: FlaskClient, session: Session
) -> None:
    send(writer, of_series(1, 2, 3))
    odd = {"metric_name": "", "metric_value": 1}
    told = send(writer, [odd, *of_series(3, 4, 5, 6, 1, 7)])
    assert (told["accepted"], told["rejected"]) == (4, 3)
    assert [(error["index"], error["field"]) for error in told["errors"]] == [
        (0, "metric_name"),
        (4, "labels"),
        (6, "labels"),
    ]
    assert "SENSUS_NEW_SERIES_PER_HOUR" in told["errors"][1]["message"]
    assert series_count(session) == MOST
    # The known ones are stored all the same, again and again.
    told = send(writer, of_series(1, 2, 3, 4, 5, 6))
    assert (told["accepted"], told["rejected"]) == (5, 1)


def test_a_request_of_nothing_but_refused_series_is_still_202(writer: FlaskClient, session: Session) -> None:
    send(writer, of_series(*range(5)))
    told = send(writer, of_series(7, 8))
    assert (told["accepted"], told["rejected"]) == (0, 2)
    assert series_count(session) == MOST


def test_prometheus_gets_204_and_is_told_how_many_were_written(writer: FlaskClient, session: Session) -> None:
    headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}

    def write(*numbers: int) -> int:
        message = write_request([({"__name__": "up", "n": str(n)}, [(round(time.time(), 3), 1.0)]) for n in numbers])
        answer = writer.post("/api/v1/write", data=in_snappy(message), headers=headers)
        assert answer.status_code == 204, answer.text
        return int(answer.headers["X-Prometheus-Remote-Write-Samples-Written"])

    assert write(*range(8)) == 5
    assert write(*range(8)) == 5
    assert series_count(session) == MOST
    shown = writer.get("/metrics").text
    assert 'sensus_samples_refused_total{reason="new_series"}' in shown


def test_each_caller_has_an_allowance_of_its_own(as_key: Callable[..., FlaskClient], session: Session) -> None:
    one, other = as_key("write"), as_key("write")
    assert send(one, of_series(*range(10)))["accepted"] == 5
    assert send(other, of_series(*range(10, 20)))["accepted"] == 5
    assert send(other, of_series(*range(5)))["accepted"] == 5  # which the first has made
    assert series_count(session) == 2 * MOST


def test_a_process_that_starts_anew_goes_on_counting_and_knows_what_is_stored(
    settings: Settings, writer: FlaskClient, session: Session
) -> None:
    send(writer, of_series(*range(4)))
    second = create_app(settings)
    client = second.test_client()
    client.environ_base.update(writer.environ_base)
    told = send(client, of_series(*range(10)))
    assert (told["accepted"], told["rejected"]) == (5, 5)
    with second.app_context():
        resources().close()


def test_after_an_hour_the_count_begins_anew(writer: FlaskClient, session: Session) -> None:
    assert send(writer, of_series(*range(9)))["rejected"] == 4
    session.execute(text("UPDATE new_series_counts SET since = since - interval '61 minutes'"))
    assert send(writer, of_series(*range(9)))["rejected"] == 0
    assert send(writer, of_series(*range(9, 12)))["rejected"] == 2


def test_zero_is_no_limit(settings: Settings, as_key: Callable[..., FlaskClient], session: Session) -> None:
    headers = as_key("write").environ_base
    free = create_app(settings.model_copy(update={"new_series_per_hour": 0}))
    client = free.test_client()
    client.environ_base.update(headers)
    assert send(client, of_series(*range(20)))["rejected"] == 0
    assert session.execute(text("SELECT count(*) FROM new_series_counts")).scalar_one() == 0
    with free.app_context():
        resources().close()


def test_known_series_cost_no_statement_more(settings: Settings, writer: FlaskClient) -> None:
    free = create_app(settings.model_copy(update={"new_series_per_hour": 0}))
    without = free.test_client()
    without.environ_base.update(writer.environ_base)

    def statements(client: FlaskClient) -> float:
        send(client, of_series(1, 2))
        settle(client)
        before = run()
        send(client, of_series(1, 2))
        settle(client)
        return run() - before

    def settle(client: FlaskClient) -> None:
        with client.application.app_context():
            assert resources().background.settle()

    def run() -> float:
        return REGISTRY.get_sample_value("sensus_db_query_duration_seconds_count", {"operation": "direct"}) or 0.0

    assert statements(writer) == statements(without) > 0
    with free.app_context():
        resources().close()


def test_what_was_asked_at_once_is_never_more_than_the_allowance(database: Database) -> None:
    def ask(_: int) -> int:
        with database.transaction() as session:
            return new_series.take(session, "key:1", 3, most=20).granted

    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(ask, range(16)))
    assert sum(granted) == 20


def test_what_was_not_committed_is_not_counted(database: Database) -> None:
    def ask_and_fail() -> None:
        with database.transaction() as session:
            assert new_series.take(session, "key:1", 3, most=4).granted == 3
            raise LookupError

    with pytest.raises(LookupError):
        ask_and_fail()
    with database.transaction() as session:
        assert new_series.take(session, "key:1", 9, most=4).granted == 4
