"""The sweep finds what a lost message left; house-keeping forgets what is old and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from celery.exceptions import MaxRetriesExceededError, Retry
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from db import exclusive
from db.models import (
    Alert,
    AlertHistory,
    AlertListing,
    AnalysisResult,
    AuditRecord,
    ChangeEvent,
    Incident,
    IncidentHistory,
    ModelVersion,
    Notification,
    Quarantined,
    Series,
    TaskRun,
)
from db.queries import models, outbox, runs
from db.session import Database
from sensus import metrics, times
from sensus.errors import Unavailable
from sensus.settings import Settings
from tests.factories import alert
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import add_alert, add_analysis, add_change, of_incident, wave


def sweep() -> None:
    from tasks.upkeep import sweep as task

    task()


def keep_house() -> None:
    from tasks.upkeep import keep_house as task

    task()


def test_a_sweep_knocks_for_all_that_waits(sent: Sent, database: Database, session: Session, put: Put) -> None:
    series = [put(wave(5), name) for name in ("a", "b")]
    old = times.now() - timedelta(minutes=1)
    waiting = add_analysis(session, add_alert(session), created_at=old)
    add_analysis(session, add_alert(session))  # its own message is under way
    with database.transaction() as mine:
        run_id, _ = runs.start(mine, "train", requested_by="user:ada", request_id=None)
    sweep()
    assert [sorted(arguments["series_ids"]) for arguments in sent.of("score_series")] == [series]
    assert sent.of("analyse") == [{"analysis_id": waiting}]
    assert sent.of("train") == [{"run_id": str(run_id)}]


def test_a_sweep_moves_what_redis_missed(
    sent: Sent, database: Database, redis_client: redis.Redis, session: Session
) -> None:
    with database.transaction() as mine:
        outbox.add(
            mine,
            outbox.NewEntry(stream="metrics:raw", type="metric", facts={"accepted": 2}, request_id="r1", actor="key:1"),
        )
    sweep()
    entries: Any = redis_client.xrange("metrics:raw")
    assert [entry["request_id"] for _, entry in entries] == ["r1"]
    with database.transaction() as mine:
        assert outbox.waiting(mine) == 0


def test_trouble_with_one_kind_of_work_is_not_another_kinds(
    sent: Sent, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import upkeep

    def broken(*_: object) -> int:
        raise RuntimeError("out of paper")

    monkeypatch.setattr(upkeep, "_relay", broken)
    put(wave(5))
    sweep()
    assert len(sent.of("score_series")) == 1


def test_a_full_queue_is_not_filled_further(sent: Sent, redis_client: redis.Redis, session: Session, put: Put) -> None:
    from tasks.upkeep import ANALYSES_A_SWEEP, SERIES_A_MESSAGE, SERIES_A_SWEEP

    add_analysis(session, add_alert(session), created_at=times.now() - timedelta(minutes=1))
    put(wave(5))
    redis_client.rpush("llm", *["a message"] * ANALYSES_A_SWEEP)
    redis_client.rpush("anomaly", *["a message"] * (SERIES_A_SWEEP // SERIES_A_MESSAGE + 1))
    sweep()
    assert sent.messages == []


def test_the_newest_analyses_come_first(sent: Sent, session: Session) -> None:
    old = times.now() - timedelta(minutes=1)
    ids = [add_analysis(session, add_alert(session, fingerprint=str(n)), created_at=old) for n in range(5)]
    sweep()
    assert [arguments["analysis_id"] for arguments in sent.of("analyse")] == sorted(ids, reverse=True)


def test_house_keeping_forgets_what_is_past_its_retention_and_nothing_else(worker: Settings, session: Session) -> None:
    now = times.now()
    old, young = now - timedelta(days=91), now - timedelta(days=89)
    for name, at in (("old", old), ("young", young)):
        alert = add_alert(session, name, starts_at=at, created_at=at, last_received_at=at)
        add_analysis(session, alert, status="done", outcome="evidence_only", created_at=at)
        add_change(session, name, at=at).created_at = at
        session.add(Quarantined(reason="nul", detail=name, payload="{}", created_at=at))
        session.add(
            AuditRecord(
                action=name, actor="user:ada", at=now - (timedelta(days=366) if name == "old" else timedelta(days=364))
            )
        )
    fires = add_alert(session, "fires for months", starts_at=old, created_at=old, last_received_at=now)
    session.flush()
    add_analysis(session, fires, status="pending", created_at=old)
    keep_house()
    assert set(session.scalars(select(Alert.alert_name))) == {"young", "fires for months"}
    assert session.scalar(select(func.count(AnalysisResult.id))) == 2
    assert list(session.scalars(select(ChangeEvent.title))) == ["young"]
    assert list(session.scalars(select(Quarantined.detail))) == ["young"]
    assert list(session.scalars(select(AuditRecord.action))) == ["young"]


def test_an_incident_goes_with_its_alerts_and_stays_where_a_person_said_what_it_was(
    worker: Settings, session: Session
) -> None:
    now = times.now()

    def incident(name: str, days: int, status: str = "resolved", *, heard_days: int = -1, **values: Any) -> int:
        at = now - timedelta(days=days)
        heard = now - timedelta(days=days if heard_days < 0 else heard_days)
        alert = add_alert(session, name, status="resolved", starts_at=at, created_at=at, last_received_at=heard)
        id_ = session.get_one(AnalysisResult, of_incident(session, alert)).incident_id
        assert id_ is not None
        given = {"status": status, "last_activity_at": at, "created_at": at, **values}
        session.execute(update(Incident).where(Incident.id == id_).values(**given))
        session.add(IncidentHistory(incident_id=id_, change="opened", at=at, facts={}))
        session.add(Notification(incident_id=id_, incident_state=1, target="slack1"))
        session.flush()
        return id_

    into = incident("old", 91)
    incident("merged", 92, merged_into=into)
    incident("told of old", 91, created_at=now)
    incident("confirmed", 91, confirmed_cause="the disk was full", confirmed_by="user:ada", confirmed_at=now)
    incident("young", 89)
    incident("open", 91, "open")
    incident("has an alert", 91, heard_days=0)
    keep_house()
    left = ["told of old", "confirmed", "young", "open", "has an alert"]
    assert list(session.scalars(select(Incident.title).order_by(Incident.id))) == left
    for of_them in (IncidentHistory, Notification):
        assert session.scalar(select(func.count(of_them.id))) == len(left)


def test_house_keeping_waits_for_long_work_until_the_next_day_and_no_longer(
    worker: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import upkeep

    almost_a_day = int(23 * 3600 / upkeep._HOUSE_WAITS_S)
    with exclusive.alone(database, exclusive.LONG_WORK) as is_alone:
        assert is_alone
        with pytest.raises(Retry):
            upkeep.keep_house.apply(throw=True, retries=almost_a_day - 1)
        with pytest.raises(MaxRetriesExceededError):
            upkeep.keep_house.apply(throw=True, retries=almost_a_day + 60)

    def away(_: object) -> None:
        raise Unavailable("the database is away")

    # Who has waited for long is not at the end of his tries when the database is away for a moment then.
    monkeypatch.setattr(upkeep, "_keep_house", away)
    with pytest.raises(Retry):
        upkeep.keep_house.apply(throw=True, retries=almost_a_day - 1)


def test_a_series_goes_with_its_last_sample(worker: Settings, session: Session, put: Put) -> None:
    from tasks.scoring import score_series

    gone = put(wave(5, start=times.now() - timedelta(days=80)), "gone")
    still = put(wave(5, start=times.now() - timedelta(days=80)), "still there")
    put(wave(5), "fresh")
    score_series(series_ids=[])
    # Ten days and more pass, as far as the database can tell.
    session.execute(text("UPDATE series SET created_at = created_at - interval '100 days'"))
    session.execute(text("UPDATE series_progress SET newest_at = newest_at - interval '100 days' WHERE series_id <> 3"))
    session.execute(text("DELETE FROM samples WHERE series_id = :id"), {"id": gone})
    keep_house()
    assert set(session.scalars(select(Series.id))) == {still, 3}


def test_trouble_with_one_part_of_the_house_is_not_anothers(
    worker: Settings, session: Session, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise RuntimeError("out of paper")

    monkeypatch.setattr("db.queries.upkeep.forget", broken)
    session.execute(
        text("CREATE TABLE samples_p20200106 PARTITION OF samples FOR VALUES FROM ('2020-01-06Z') TO ('2020-01-13Z')")
    )
    with database.transaction() as mine:
        runs.start(mine, "train", requested_by="x", request_id=None)
    session.execute(update(TaskRun).values(created_at=times.now() - timedelta(days=100), state="done"))
    keep_house()
    assert session.scalar(text("SELECT to_regclass('samples_p20200106')")) is None
    assert session.scalar(select(func.count(TaskRun.id))) == 0


def test_who_reads_samples_does_not_hold_up_who_makes_their_weeks(
    worker: Settings, session: Session, database: Database
) -> None:
    name = f"samples_p{times.now() + timedelta(weeks=4) - timedelta(days=times.now().weekday()):%Y%m%d}"
    session.execute(text(f"DROP TABLE {name}"))
    with database.transaction() as reader:
        reader.execute(text("SELECT FROM samples LIMIT 1"))
        keep_house()
        assert session.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None
    # It is one of the others in all that it has.
    indexes = text("SELECT count(*) FROM pg_index WHERE indrelid = CAST(:name AS regclass) AND indisvalid")
    assert session.scalar(indexes, {"name": name}) == session.scalar(indexes, {"name": "samples"})


def test_a_series_that_is_being_scored_or_written_is_left_alone(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.packing._LOCK_WAIT_S", 0.1)
    series_id = put(wave(1, start=times.now() - timedelta(days=80)))
    session.execute(text("DELETE FROM samples"))
    session.execute(text("UPDATE series SET created_at = now() - interval '100 days'"))
    session.execute(text("UPDATE series_progress SET newest_at = now() - interval '100 days'"))
    with database.transaction() as ingest:
        ingest.execute(text("SELECT FROM series_progress WHERE series_id = :id FOR NO KEY UPDATE"), {"id": series_id})
        keep_house()
    assert session.scalar(select(func.count(Series.id))) == 1
    session.execute(text("UPDATE series_progress SET lease_until = now()"))
    keep_house()
    assert session.scalar(select(func.count(Series.id))) == 1
    session.execute(text("UPDATE series_progress SET lease_until = NULL"))
    keep_house()
    assert session.scalar(select(func.count(Series.id))) == 0


def test_old_versions_go_but_never_what_a_rollback_needs(
    worker: Settings, session: Session, database: Database
) -> None:
    for place in range(70):
        session.execute(
            text(
                "INSERT INTO model_versions (version, algorithm, training_date, artifact, checksum, feature_names)"
                " VALUES (:version, 'isolation_forest', now(), '', '', '[]')"
            ),
            {"version": "builtin-2" if place == 0 else f"v{place}"},
        )
    for version in ("v1", "v2", "v3", "v69"):
        with database.transaction() as mine:
            models.activate(mine, version)
    keep_house()
    left = set(session.scalars(select(ModelVersion.version)))
    assert {"builtin-2", "v1", "v2", "v3", "v69"} <= left
    assert len(left) == 64
    with database.transaction() as mine:
        assert models.rollback(mine, "isolation_forest").version == "v3"


def test_finished_runs_are_forgotten_and_unfinished_ones_are_not(
    worker: Settings, session: Session, database: Database
) -> None:
    with database.transaction() as mine:
        runs.start(mine, "train", requested_by="x", request_id=None)
        runs.start(mine, "evaluate", requested_by="x", request_id=None)
    session.execute(update(TaskRun).values(created_at=times.now() - timedelta(days=100)))
    session.execute(update(TaskRun).where(TaskRun.kind == "train").values(state="done"))
    keep_house()
    assert list(session.scalars(select(TaskRun.kind))) == ["evaluate"]


def test_partitions_past_the_retention_are_dropped(worker: Settings, session: Session) -> None:
    session.execute(
        text("CREATE TABLE samples_p20200106 PARTITION OF samples FOR VALUES FROM ('2020-01-06Z') TO ('2020-01-13Z')")
    )
    keep_house()
    assert session.scalar(text("SELECT to_regclass('samples_p20200106')")) is None


def test_a_fresh_system_has_its_model_after_the_first_sweep(worker: Settings, session: Session) -> None:
    assert models.in_force(session, "isolation_forest") is None
    sweep()
    first = models.in_force(session, "isolation_forest")
    assert first is not None
    assert first.version == "builtin-2"
    sweep()
    assert models.in_force(session, "isolation_forest") == first


def test_an_alert_that_nobody_repeats_becomes_stale_and_fires_again_with_its_next_repeat(
    sent: Sent, session: Session, writer: FlaskClient
) -> None:
    told = [alert(name) for name in ("Silent", "Repeated", "Over")]
    writer.post("/api/v1/alerts", json=told)
    writer.post("/api/v1/alerts", json=[alert("Over", status="resolved")])
    before = metrics.alerts_stale._value.get()
    _let_pass(session, "30 hours")
    writer.post("/api/v1/alerts", json=told[1:2])
    sweep()
    sweep()
    session.expire_all()
    states = {row.alert_name: row.status for row in session.scalars(select(Alert))}
    assert states == {"Silent": "stale", "Repeated": "firing", "Over": "resolved"}
    assert [item["alert_name"] for item in writer.get("/api/v1/alerts?status=stale").get_json()["items"]] == ["Silent"]
    assert metrics.alerts_stale._value.get() == before + 1
    writer.post("/api/v1/alerts", json=told[:1])
    silent = session.scalars(select(Alert).where(Alert.alert_name == "Silent")).one()
    history = session.scalars(
        select(AlertHistory).where(AlertHistory.alert_id == silent.id).order_by(AlertHistory.id)
    ).all()
    assert [(entry.change, entry.note) for entry in history] == [
        ("firing", None),
        ("stale", "not repeated for 25 hours"),
        ("firing", None),
    ]


def test_what_an_alertmanager_lists_is_not_stale_and_not_forgotten(sent: Sent, session: Session) -> None:
    listed, silent = (add_alert(session, name) for name in ("Listed", "Silent"))
    _let_pass(session, "100 days")
    session.add(AlertListing(alert_id=listed.id, source="http://am:9093", listed_at=times.now()))
    session.flush()
    sweep()
    session.expire_all()
    assert (listed.status, silent.status) == ("firing", "stale")
    keep_house()
    assert list(session.scalars(select(Alert.alert_name))) == ["Listed"]


def test_without_an_age_nothing_becomes_stale(sent: Sent, settings: Settings, session: Session) -> None:
    from tasks.resources import resources

    object.__setattr__(resources(), "settings", settings.model_copy(update={"stale_after_hours": 0.0}))
    add_alert(session)
    _let_pass(session, "100 days")
    sweep()
    assert session.scalars(select(Alert.status)).all() == ["firing"]


def _let_pass(session: Session, time: str) -> None:
    """So much time has passed since the alerts came, as far as the database can tell."""
    session.execute(
        text(
            "UPDATE alerts SET created_at = created_at - CAST(:time AS interval),"
            " last_received_at = last_received_at - CAST(:time AS interval)"
        ),
        {"time": time},
    )
