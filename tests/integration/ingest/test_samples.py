"""POST /api/v1/metrics: what fits is stored once, what does not is told of one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.models import SampleArrival, Series, SeriesProgress
from db.models.sample import samples as samples_table
from db.queries import partitions, upkeep
from db.queries import series as series_queries
from db.session import Database
from tests.factories import samples
from web.resources import resources


def send(client: FlaskClient, body: Any, expected: int = 202) -> dict[str, Any]:
    answer = client.post("/api/v1/metrics", json=body)
    assert answer.status_code == expected, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def settle(client: FlaskClient) -> None:
    """Wait until what came in is noted."""
    with client.application.app_context():
        assert resources().background.settle()


def counts(receipt: dict[str, Any]) -> tuple[int, int, int]:
    return receipt["accepted"], receipt["duplicates"], receipt["rejected"]


def stored(session: Session) -> list[tuple[str, float]]:
    query = text("SELECT metric_name, metric_value FROM metrics ORDER BY metric_name, timestamp")
    return [(row.metric_name, row.metric_value) for row in session.execute(query)]


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"metrics": s}, lambda s: s[0]])
def test_samples_come_alone_as_a_list_or_wrapped(writer: FlaskClient, session: Session, wrap: Any) -> None:
    body = wrap(samples(3))
    receipt = send(writer, body)
    count = 1 if isinstance(body, dict) and "metric_name" in body else 3
    assert counts(receipt) == (count, 0, 0)
    assert "errors" not in receipt
    assert len(stored(session)) == count
    progress = session.scalars(select(SeriesProgress)).one()
    assert progress.newest_at == session.scalar(select(func.max(samples_table.c.timestamp)))
    assert progress.scored_until is None


def test_a_sample_without_time_is_of_now(writer: FlaskClient, session: Session) -> None:
    send(writer, {"metric_name": "up", "metric_value": 1})
    at = session.scalars(select(samples_table.c.timestamp)).one()
    assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("stamp", [lambda at: at.timestamp(), lambda at: int(at.timestamp()), datetime.isoformat])
def test_a_time_is_iso_8601_or_unix_seconds(writer: FlaskClient, session: Session, stamp: Any) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    send(writer, {"metric_name": "up", "metric_value": 1, "timestamp": stamp(at)})
    assert session.scalars(select(samples_table.c.timestamp)).one() == at


def test_the_first_value_at_a_time_counts(writer: FlaskClient, session: Session) -> None:
    (sample,) = samples([1.0])
    receipt = send(writer, [sample, {**sample, "metric_value": 2.0}])
    assert counts(receipt) == (2, 1, 0)
    assert counts(send(writer, [{**sample, "metric_value": 3.0}])) == (1, 1, 0)
    assert stored(session) == [("node_load1", 1.0)]


def test_a_series_is_its_name_and_labels_in_any_order(writer: FlaskClient, session: Session) -> None:
    send(writer, samples(1, labels={"a": "1", "b": "2"}) + samples(1, labels={"b": "2", "a": "1"}))
    send(writer, samples(1, labels={"a": "1"}) + samples(1, labels={}) + samples(1, name="other", labels={"a": "1"}))
    assert session.scalar(select(func.count(Series.id))) == 4
    assert session.scalar(select(func.count()).select_from(SeriesProgress)) == 4


FAULTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"metric_value": "1"}, "metric_value"),
    ({"metric_value": True}, "metric_value"),
    ({"metric_value": None}, "metric_value"),
    ({"metric_value": [1]}, "metric_value"),
    ({"metric_name": 5}, "metric_name"),
    ({"metric_name": ""}, "metric_name"),
    ({"metric_name": "a\0b"}, "metric_name"),
    ({"metric_name": "x" * 201}, "metric_name"),
    ({"labels": {"a": 1}}, "labels"),
    ({"labels": []}, "labels"),
    ({"labels": {"a": "x\0"}}, "labels.a"),
    ({"labels": {"a": "x" * 5000}}, "labels.a"),
    ({"labels": {f"l{number}": "x" for number in range(10_000)}}, "labels"),
    ({"timestamp": "yesterday"}, "timestamp"),
    ({"timestamp": True}, "timestamp"),
    ({"timestamp": "99999-01-01"}, "timestamp"),
    ({"timestamp": 1e17}, "timestamp"),
)


class TestRefused:
    def test_times_that_are_too_old_or_too_far_ahead_are_refused_one_by_one(
        self, writer: FlaskClient, session: Session
    ) -> None:
        now = datetime.now(UTC)
        good = {"metric_name": "up", "metric_value": 1}
        receipt = send(
            writer,
            [
                {**good, "timestamp": (now - timedelta(days=91)).isoformat()},
                {**good, "timestamp": now.isoformat()},
                {**good, "timestamp": (now + timedelta(minutes=11)).isoformat()},
                {**good, "timestamp": (now + timedelta(minutes=9)).isoformat()},
                {**good, "timestamp": (now - timedelta(days=89)).isoformat()},
            ],
        )
        assert counts(receipt) == (3, 0, 2)
        assert [(error["index"], error["field"]) for error in receipt["errors"]] == [(0, "timestamp"), (2, "timestamp")]
        assert len(stored(session)) == 3

    def test_a_request_of_nothing_but_old_samples_is_still_202(self, writer: FlaskClient) -> None:
        receipt = send(writer, {"metric_name": "up", "metric_value": 1, "timestamp": 0})
        assert counts(receipt) == (0, 0, 1)

    def test_an_odd_sample_is_told_of_and_its_neighbours_are_stored(
        self, writer: FlaskClient, session: Session
    ) -> None:
        for fault, field in FAULTS:
            good, bad = samples(2), {**samples(1)[0], **fault}
            receipt = send(writer, {"metrics": [good[0], bad, good[1]]})
            assert counts(receipt) == (2, 0, 1)
            assert [(error["index"], error["field"]) for error in receipt["errors"]] == [(1, field)]
            alone = send(writer, bad, expected=422)
            assert list(alone["errors"]) == [field]
            wrapped = send(writer, {"metrics": [bad, bad]}, expected=422)
            assert list(wrapped["errors"]) == [f"metrics.0.{field}", f"metrics.1.{field}"]
            assert list(send(writer, [bad], expected=422)["errors"]) == [f"0.{field}"]
        assert len(stored(session)) == 2 * len(FAULTS)

    def test_a_number_beyond_all_numbers_is_refused_and_not_infinite(
        self, writer: FlaskClient, session: Session
    ) -> None:
        body = b'[{"metric_name": "a", "metric_value": 1e999}, {"metric_name": "b", "metric_value": 1}]'
        answer = writer.post("/api/v1/metrics", data=body, content_type="application/json")
        assert counts(answer.get_json()) == (1, 0, 1)
        assert stored(session) == [("b", 1.0)]

    def test_a_missing_field_is_named(self, writer: FlaskClient) -> None:
        assert send(writer, {"metric_name": "a"}, expected=422)["errors"] == {"metric_value": "missing"}
        assert send(writer, {"metrics": 5}, expected=422)["errors"] == {"metrics": "must be a list"}

    def test_errors_are_told_up_to_a_hundred(self, writer: FlaskClient) -> None:
        receipt = send(writer, samples(1) + [{"metric_name": "a"}] * 500)
        assert receipt["rejected"] == 500
        assert len(receipt["errors"]) == 100
        assert len(send(writer, [{"metric_name": "a"}] * 500, expected=422)["errors"]) == 100

    def test_more_than_ten_thousand_samples_are_too_many(self, writer: FlaskClient) -> None:
        one = {"metric_name": "a", "metric_value": 1, "timestamp": 0}
        assert send(writer, [one] * 10_001, expected=413)["code"] == 413
        assert counts(send(writer, [one] * 10_000)) == (0, 0, 10_000)


def test_a_sample_behind_the_watermark_is_stored_and_counted_as_late(writer: FlaskClient, session: Session) -> None:
    body = samples([1.0, 2.0, 3.0])
    send(writer, body[1:2])
    settle(writer)
    session.execute(update(SeriesProgress).values(scored_until=SeriesProgress.newest_at))
    send(writer, body)
    settle(writer)
    session.expire_all()
    progress = session.scalars(select(SeriesProgress)).one()
    assert progress.late_samples == 1  # the first; the second was there, the third lies ahead
    assert progress.newest_at == datetime.fromisoformat(body[2]["timestamp"])
    assert [value for _, value in stored(session)] == [1.0, 2.0, 3.0]


def test_a_series_that_retention_deleted_is_made_again(
    writer: FlaskClient, database: Database, session: Session
) -> None:
    send(writer, samples(1, labels={"a": "gone"}) + samples(1, labels={"a": "stays"}))
    gone = session.scalars(select(Series.id).where(Series.labels["a"].astext == "gone")).one()
    settle(writer)
    session.execute(delete(samples_table).where(samples_table.c.series_id == gone))
    session.execute(text("UPDATE series SET created_at = created_at - interval '1 year'"))
    session.execute(text("UPDATE series_progress SET newest_at = newest_at - interval '1 year'"))
    with database.transaction() as retention:
        assert upkeep.forget(retention, "series", days=90) == 1
    receipt = send(writer, samples(2, labels={"a": "gone"}) + samples(2, labels={"a": "stays"}))
    assert counts(receipt) == (4, 0, 0)
    assert session.scalar(select(func.count(Series.id))) == 2
    assert len(stored(session)) == 5


def test_nobody_deletes_a_series_while_its_samples_are_stored(database: Database, session: Session) -> None:
    with database.transaction() as ingest:
        before = series_queries.hold(ingest)
        with database.transaction() as retention:
            upkeep.wait_briefly(retention)
            with pytest.raises(DBAPIError, match="lock timeout"):
                series_queries.begin_epoch(retention)
    with database.transaction() as retention:
        series_queries.begin_epoch(retention)
    with database.transaction() as ingest:
        assert series_queries.hold(ingest) == before + 1


def test_samples_that_were_there_and_new_ones_come_in_one_request(writer: FlaskClient, session: Session) -> None:
    body = samples([1.0, 2.0, 3.0, 4.0])
    assert counts(send(writer, body[1:3])) == (2, 0, 0)
    twice = [*body, {**body[3], "metric_value": 5.0}]
    assert counts(send(writer, twice)) == (5, 3, 0)
    assert sorted(value for _, value in stored(session)) == [1.0, 2.0, 3.0, 4.0]
    settle(writer)
    assert session.scalars(select(SeriesProgress.newest_at)).one() == datetime.fromisoformat(body[3]["timestamp"])
    assert session.scalar(select(func.count(SampleArrival.id))) == 0


def test_a_missing_partition_is_made_when_a_sample_needs_it(writer: FlaskClient, session: Session) -> None:
    for name, _ in partitions.existing(session, samples_table):
        session.execute(text(f"DROP TABLE {name}"))
    assert counts(send(writer, samples(3))) == (3, 0, 0)
    assert len(stored(session)) == 3


def test_any_name_is_kept_as_sent(writer: FlaskClient, session: Session) -> None:
    send(writer, samples(1, name="cpu.load") + samples(1, name="温度") + samples(1, name="a:b_c"))
    assert {name for name, _ in stored(session)} == {"cpu.load", "温度", "a:b_c"}


def test_a_batch_leaves_a_receipt_in_the_stream(app: Any, writer: FlaskClient, redis_client: Any) -> None:
    receipt = send(writer, samples(3))
    with app.app_context():
        assert resources().background.settle()
    ((_, entry),) = redis_client.xrange("metrics:raw")
    assert entry["type"] == "metric"
    told = json.loads(entry["data"])
    assert (told["accepted"], told["series"], told["batch_id"]) == (3, 1, receipt["batch_id"])


def test_a_label_without_a_value_is_none(writer: FlaskClient, session: Session) -> None:
    for labels, value in (({"a": "", "b": "x"}, 1.0), ({"b": "x"}, 2.0)):
        sample = {"metric_name": "m", "labels": labels, "metric_value": value}
        assert writer.post("/api/v1/metrics", json=sample).status_code == 202
    (series,) = session.scalars(select(Series)).all()
    assert series.labels == {"b": "x"}
