"""What models are measured on reaches as far back in time for a series that is scraped often as for any other."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import ModelVersion, TaskRun
from db.models.detection import AnomalyFeedback
from db.queries import runs
from db.session import Database
from ml.evaluate import held_back_from
from sensus import times
from tasks import histories
from tasks.base import SensusTask
from tasks.long_work import Window
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import wave
from tests.integration.tasks.versions import challenge

OFTEN = timedelta(seconds=15)
DAY = timedelta(days=1)


@pytest.fixture
def task(sent: Sent) -> SensusTask:
    from tasks.evaluation import evaluate

    return evaluate


def window(*, days: int = 28, seed: int = 1) -> Window:
    now = times.now()
    return Window(now - timedelta(days=days), now, seed)


def run(database: Database, session: Session, kind: runs.Kind) -> TaskRun:
    from tasks import evaluation, training

    with database.transaction() as mine:
        run_id = runs.start(mine, kind, requested_by="user:ada", request_id="r1")[0]
    task = training.train if kind == "train" else evaluation.evaluate
    task(run_id=str(run_id))
    return session.get_one(TaskRun, uuid.UUID(str(run_id)), populate_existing=True)


def samples_of(days: float, step: timedelta) -> int:
    return int(timedelta(days=days) / step)


@pytest.mark.parametrize("step", [OFTEN, timedelta(seconds=60)])
def test_a_model_is_trained_measured_and_decided_upon_alike_however_often_a_series_is_scraped(
    task: SensusTask, database: Database, session: Session, put: Put, step: timedelta
) -> None:
    put(wave(samples_of(4.7, step), step=step))
    ((seconds, _),) = histories.evaluated(task, window())
    assert seconds[held_back_from(seconds)] - seconds[0] > 3 * 86_400
    trained = run(database, session, "train").result
    assert trained["outcome"] in ("challenges", "kept_former")
    challenge(database)
    evaluated = run(database, session, "evaluate").result
    assert (evaluated["histories"], evaluated["faults"]) == (1, 6)
    assert evaluated["auroc"] > 0.5
    assert evaluated["challenger"]["outcome"] in ("waits", "refused")
    champion = session.scalars(select(ModelVersion).where(ModelVersion.is_active)).one()
    assert 1_000 < champion.drift["samples"] < 1_500


def test_a_history_is_read_in_pages_and_reaches_nine_days_back(
    task: SensusTask, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = wave(samples_of(12, timedelta(hours=1)), step=timedelta(hours=1))
    series_id = put([*rows[:40], (rows[40][0], float("nan")), *rows[41:]])
    now = times.now()
    everything = [(times.to_epoch(at), value) for place, (at, value) in enumerate(rows) if place != 40]
    newest = rows[-1][0]
    for page in (7, 20_000):
        monkeypatch.setattr(histories, "PAGE", page)
        for days, at_least, expected in (
            (28, 1, [row for row in everything if row[0] >= times.to_epoch(newest - histories.REACH)]),
            (28, 230, everything[-230:]),
            (28, 1_000, everything),
            (2, 1_000, [row for row in everything if row[0] >= times.to_epoch(now - 2 * DAY)]),
        ):
            found = histories.of_series(task, series_id, now - days * DAY, now, at_least=at_least)
            assert list(zip(*found, strict=True)) == expected
    assert [len(part) for part in histories.of_series(task, series_id + 1, now - DAY, now, at_least=9)] == [0, 0]


def test_where_samples_come_fast_fewer_series_are_read(
    task: SensusTask, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put(wave(1500), f"cpu{number}")
    put(wave(1000), "young")
    for limit in ("EVALUATED_IN_ALL", "RECENT_IN_ALL"):
        monkeypatch.setattr(histories, limit, 2_000)
    assert [len(seconds) for seconds, _ in histories.evaluated(task, window())] == [1500, 1500]
    assert len(list(histories.recent(task, window()))) == 2
    monkeypatch.setattr(histories, "EVALUATED_IN_ALL", 1_000_000)
    assert len(histories.evaluated(task, window())) == 4


def test_a_training_on_fast_series_ends_when_it_has_enough(
    sent: Sent, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put(wave(1500), f"cpu{number}")
    monkeypatch.setattr("tasks.training.SAMPLES_IN_ALL", 2_000)
    version = run(database, session, "train").result["version"]
    row = session.scalars(select(ModelVersion).where(ModelVersion.version == version)).one()
    assert row.data_window["series"] == 2


def test_a_model_is_not_asked_about_days_in_which_it_does_not_know_the_series_yet(
    task: SensusTask, session: Session, put: Put
) -> None:
    rows = wave(1500)
    series_id = put(rows)
    for place in (100, 570, 580, 1400):
        session.add(AnomalyFeedback(series_id=series_id, sample_at=rows[place][0], verdict="real", actor="ada"))
    session.flush()
    (judged,) = histories.judged(task, window())
    assert [verdict.time for verdict in judged.verdicts] == [times.to_epoch(rows[place][0]) for place in (580, 1400)]
    assert judged.times[0] == times.to_epoch(rows[0][0])
