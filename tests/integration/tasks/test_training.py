"""Training in the worker: in portions, measured, and in force only when no worse; versions that can't be trusted."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import Retry
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db import exclusive
from db.models import AuditRecord, ModelVersion, TaskRun
from db.queries import leases, models, runs
from db.session import Database
from ml import artifact
from ml.builtin import builtin_model
from ml.drift import Distribution
from sensus import times
from sensus.errors import Conflict
from sensus.settings import Settings
from tasks.in_force import InForce, as_version
from tasks.retraining import Comparison
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import scores_of, wave


@pytest.fixture
def histories(put: Put) -> list[int]:
    return [put(wave(1500, seed=seed), f"cpu{seed}") for seed in range(3)]


def start(database: Database, kind: runs.Kind = "train") -> uuid.UUID:
    with database.transaction() as session:
        return runs.start(session, kind, requested_by="user:ada", request_id="r1")[0]


def train(run_id: uuid.UUID) -> None:
    from tasks.training import train as task

    task(run_id=str(run_id))


def run_of(session: Session, run_id: uuid.UUID) -> TaskRun:
    return session.get_one(TaskRun, run_id, populate_existing=True)


def verdict(monkeypatch: pytest.MonkeyPatch, no_worse: bool) -> None:
    monkeypatch.setattr(Comparison, "is_no_worse", property(lambda self: no_worse))


def test_there_is_one_piece_of_long_work_at_a_time(
    sent: Sent, database: Database, session: Session, histories: list[int]
) -> None:
    from tasks.upkeep import keep_house

    run_id = start(database)
    with exclusive.alone(database, exclusive.LONG_WORK) as is_alone:
        assert is_alone
        train(run_id)
        assert run_of(session, run_id).state == "pending", "the next sweep finds it"
        with pytest.raises(Retry):
            keep_house.apply(throw=True)
    train(run_id)
    assert run_of(session, run_id).state == "done"


def test_stops_don_t_count_as_deaths_of_a_run(database: Database, session: Session) -> None:
    run_id = start(database)
    for blameless, times_claimed in ((True, 8), (False, 5)):
        for _ in range(times_claimed):
            with database.transaction() as mine:
                assert runs.claim(mine, run_id, "train", lease_s=60, holder="maintenance@here") is not None
            with database.transaction() as mine:
                assert leases.release(mine, "maintenance@here", blameless=blameless).runs == ((run_id, "train"),)
    with database.transaction() as mine:
        assert runs.claim(mine, run_id, "train", lease_s=60) is None
    assert run_of(session, run_id).state == "failed"


@pytest.mark.parametrize("no_worse", [True, False])
def test_a_new_version_challenges_the_one_in_force_only_when_it_is_no_worse(
    sent: Sent,
    database: Database,
    session: Session,
    histories: list[int],
    monkeypatch: pytest.MonkeyPatch,
    no_worse: bool,
) -> None:
    verdict(monkeypatch, no_worse)
    run_id = start(database)
    train(run_id)
    run = run_of(session, run_id)
    assert run.state == "done", run.error
    version = run.result["version"]
    assert version == f"if-{run.created_at:%Y%m%dT%H%M%SZ}"
    assert run.result["outcome"] == ("challenges" if no_worse else "kept_former")
    assert run.result["compared_with"] == "builtin-2"
    assert {"auroc", "detection_rate"} <= set(run.result["candidate"]) & set(run.result["present"])
    active = session.scalars(select(ModelVersion.version).where(ModelVersion.is_active)).one()
    assert active == "builtin-2"
    row = session.scalars(select(ModelVersion).where(ModelVersion.version == version)).one()
    assert (row.role, row.shadow_share) == (("challenger", 1.0) if no_worse else ("stored", None))
    assert row.data_window["series"] == 3
    assert row.data_window["since"] < row.data_window["until"]
    assert Distribution.from_dict(row.data_window["distribution"]).samples == row.data_window["rows"]
    assert {"numpy", "scikit-learn"} <= set(row.library_versions)
    assert row.evaluation["faults"] > 0
    assert artifact.load(row.artifact, row.checksum).version == version
    acts = list(session.scalars(select(AuditRecord.action)))
    assert acts == (["model_challenges"] if no_worse else [])


def test_training_in_portions_makes_the_same_model_as_in_one(
    sent: Sent, database: Database, session: Session, histories: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = start(database)
    train(whole)
    in_one = session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc())).first()
    assert in_one is not None
    session.execute(text("DELETE FROM model_versions WHERE id = :id"), {"id": in_one.id})
    session.execute(
        update(TaskRun).where(TaskRun.id == whole).values(state="pending", progress={}, lease_until=None, attempt=0)
    )
    monkeypatch.setattr("tasks.training.PORTION_S", 0.0)
    messages = 0
    while run_of(session, whole).state != "done":
        messages += 1
        assert messages < 10
        train(whole)
    assert messages > 2
    assert {"run_id": str(whole)} in sent.of("train")
    again = session.scalars(select(ModelVersion).where(ModelVersion.version == in_one.version)).one()
    assert again.checksum == in_one.checksum


def test_too_little_history_is_an_outcome_and_no_failure(
    sent: Sent, database: Database, session: Session, put: Put
) -> None:
    put(wave(20))
    run_id = start(database)
    train(run_id)
    run = run_of(session, run_id)
    assert (run.state, run.result["outcome"], run.error) == ("done", "not_enough_history", None)
    assert run.result["reason"]


def test_one_training_at_a_time(sent: Sent, database: Database, session: Session) -> None:
    from tasks.training import start_training

    first = start(database)
    start_training()
    assert list(session.scalars(select(TaskRun.id))) == [first]
    assert sent.of("train") == []
    session.execute(update(TaskRun).values(state="done"))
    start_training()
    assert len(list(session.scalars(select(TaskRun.id)))) == 2
    assert len(sent.of("train")) == 1


def test_a_training_that_kills_its_worker_is_given_up(sent: Sent, database: Database, session: Session) -> None:
    run_id = start(database)
    for _ in range(runs.MOST_ATTEMPTS_WITHOUT_PROGRESS):
        with database.transaction() as mine:
            assert runs.claim(mine, run_id, "train", lease_s=60) is not None
        session.execute(update(TaskRun).values(lease_until=times.now() - timedelta(seconds=1)))
    train(run_id)
    run = run_of(session, run_id)
    assert run.state == "failed"
    assert run.error is not None
    assert "again and again" in run.error


def test_who_lost_a_training_keeps_nothing(
    sent: Sent, database: Database, session: Session, histories: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import training

    run_id = start(database)
    real = training.compare

    def taken_over(*args: Any) -> Any:
        session.execute(update(TaskRun).values(attempt=TaskRun.attempt + 1))
        return real(*args)

    monkeypatch.setattr(training, "compare", taken_over)
    train(run_id)
    assert run_of(session, run_id).state == "running"
    assert list(session.scalars(select(ModelVersion.version))) == ["builtin-2"]


def test_an_error_of_ours_is_told_without_its_details(
    sent: Sent, database: Database, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import training

    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(training, "_gather", broken)
    run_id = start(database)
    with pytest.raises(RuntimeError):
        train(run_id)
    run = run_of(session, run_id)
    assert run.state == "failed"
    assert run.error is not None
    assert "secret" not in run.error


def test_the_version_in_force_is_evaluated_on_recent_history(
    sent: Sent, database: Database, session: Session, histories: list[int]
) -> None:
    from tasks.evaluation import evaluate

    run_id = start(database, "evaluate")
    evaluate(run_id=str(run_id))
    run = run_of(session, run_id)
    assert (run.state, run.result["version"]) == ("done", "builtin-2")
    stored = session.scalars(select(ModelVersion).where(ModelVersion.is_active)).one().evaluation
    assert stored["histories"] == 3
    assert 0.5 < stored["auroc"] <= 1.0


def test_rollback_goes_back_step_by_step_and_never_to_what_was_withdrawn(
    worker: Settings, database: Database, session: Session
) -> None:
    for version in ("a", "b", "c"):
        _add(session, version)
        with database.transaction() as mine:
            models.activate(mine, version)
    steps = []
    for _ in range(2):
        with database.transaction() as mine:
            steps.append(models.rollback(mine, "isolation_forest").version)
    assert steps == ["b", "a"]
    with database.transaction() as mine, pytest.raises(Conflict):
        models.rollback(mine, "isolation_forest")
    assert session.scalars(select(ModelVersion.version).where(ModelVersion.is_active)).all() == ["a"]


def test_a_worker_takes_up_a_version_as_soon_as_it_is_in_force(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    from tasks.scoring import score_series

    series_id = put(wave(10))
    score_series(series_ids=[])
    renamed = artifact.Model(
        **{**{f: getattr(builtin_model(), f) for f in artifact.Model.__dataclass_fields__}, "version": "renamed"}
    )
    with database.transaction() as mine:
        new = models.add(mine, as_version(renamed, data_window={}, evaluation={}))
        models.activate(mine, "renamed")
    put(wave(1, start=times.now()))
    score_series(series_ids=[])
    used = session.scalars(text("SELECT model_version_id FROM scores ORDER BY timestamp")).all()
    assert used[-1] == new
    assert used[0] != new
    assert len(scores_of(session, series_id)) == 11


def test_a_version_whose_bytes_were_tampered_with_is_refused_and_the_one_before_is_used(
    worker: Settings, database: Database, session: Session
) -> None:
    InForce().get(database)
    _add(session, "evil", artifact=b"evil bytes", checksum="0" * 64)
    with database.transaction() as mine:
        models.activate(mine, "evil")
    assert InForce().get(database).model.version == "builtin-2"
    session.execute(text("UPDATE model_versions SET artifact = 'nothing good' WHERE version = 'builtin-2'"))
    computed = InForce().get(database)
    assert computed.model.version == "builtin-2"
    assert computed.key.version == "builtin-2"


def test_workers_that_start_together_bring_one_builtin_version(worker: Settings, database: Database) -> None:
    from concurrent.futures import ThreadPoolExecutor

    builtin_model()
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: InForce().get(database), range(8)))
    assert {each.key.id for each in loaded} == {loaded[0].key.id}


def _add(session: Session, version: str, artifact: bytes = b"", checksum: str = "") -> None:
    session.execute(
        text(
            "INSERT INTO model_versions (version, algorithm, training_date, artifact, checksum, feature_names)"
            " VALUES (:version, 'isolation_forest', now(), :artifact, :checksum, '[]')"
        ),
        {"version": version, "artifact": artifact, "checksum": checksum},
    )
