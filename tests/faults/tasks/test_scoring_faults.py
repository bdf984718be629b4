"""Workers that are killed, messages that come twice or never: every sample is scored once, as it is offline."""

from __future__ import annotations

import csv
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.models import SeriesProgress, scores
from db.session import Database
from ml.builtin import builtin_model
from sensus import queues, times
from tasks.replay import replay
from tests.faults.tasks.conftest import Send, StartWorker
from tests.integration.tasks.made import is_scored, scores_of, store_samples, wave
from tests.servers import PrivateServers
from tests.waiting import wait_for
from web.background import Background, Knocks

pytestmark = pytest.mark.faults


def knock(send: Send, series_id: int) -> None:
    send("tasks.scoring.score_series", series_ids=[series_id])


def offline(rows: list[Any], folder: Path) -> list[Any]:
    source, target = folder / "in.csv", folder / "out.csv"
    source.write_text("timestamp,value\n" + "".join(f"{times.isoformat(at)},{value!r}\n" for at, value in rows))
    replay(source, target, builtin_model(), None)
    with target.open() as file:
        return [(times.parse(r["timestamp"]), float(r["score"]), float(r["alert"])) for r in csv.DictReader(file)]


def test_killed_workers_and_repeated_batches_change_no_figure(
    start_worker: StartWorker, database: Database, session: Session, send: Send, tmp_path: Path
) -> None:
    worker = start_worker("anomaly")
    sent: dict[int, list[Any]] = {}
    for batch, count in ((1, 50), (7, 600), (500, 600)):
        rows = wave(count, seed=batch, spikes=(30, 31, 380))
        batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        for place, part in enumerate(batches):
            series_id = store_samples(database, part, f"batches of {batch}")
            # The sender saw no answer, and sends it again.
            assert store_samples(database, part, f"batches of {batch}") == series_id
            knock(send, series_id)
            knock(send, series_id)
            if place == len(batches) // 2:
                worker.kill_child()
        sent[series_id] = rows
    # Whoever was killed in the middle held a lease; it ends, and the next knock finds the work.
    session.execute(
        update(SeriesProgress)
        .where(SeriesProgress.lease_until.is_not(None))
        .values(lease_until=times.now() - timedelta(seconds=1))
    )
    for series_id, rows in sent.items():
        knock(send, series_id)
        wait_for(lambda series_id=series_id: is_scored(session, series_id), "everything is scored", timeout_s=60)
        assert scores_of(session, series_id) == offline(rows, tmp_path)


def test_a_worker_killed_between_claim_and_commit_leaves_its_work_to_the_next(
    start_worker: StartWorker, database: Database, session: Session, send: Send, tmp_path: Path
) -> None:
    rows = wave(600)
    series_id = store_samples(database, rows)
    worker = start_worker("anomaly")
    # The worker can claim and compute, and waits for this lock when it wants to keep its figures.
    with database.transaction() as holder:
        holder.connection().exec_driver_sql("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
        knock(send, series_id)
        wait_for(lambda: _waits_for_lock(session), "the worker waits with its figures", timeout_s=60)
        worker.kill()
    wait_for(lambda: not _waits_for_lock(session), "its connection is gone", timeout_s=60)
    assert session.scalar(select(func.count()).select_from(scores)) == 0
    session.execute(update(SeriesProgress).values(lease_until=times.now() - timedelta(seconds=1)))
    worker.start()  # the unconfirmed message comes again by itself
    knock(send, series_id)
    wait_for(lambda: is_scored(session, series_id), "everything is scored", timeout_s=60)
    assert scores_of(session, series_id) == offline(rows, tmp_path)


def test_a_lost_message_is_made_up_by_a_sweep_right_after_the_start(
    start_worker: StartWorker, database: Database, session: Session, tmp_path: Path
) -> None:
    rows = wave(100)
    series_id = store_samples(database, rows)  # and nobody knocks
    start_worker("anomaly")
    start_worker("maintenance")
    wait_for(lambda: is_scored(session, series_id), "the sweep finds it", timeout_s=60)
    assert scores_of(session, series_id) == offline(rows, tmp_path)


def test_samples_that_come_for_hours_while_no_worker_runs_do_not_fill_redis_and_are_all_scored_when_one_does(
    servers: PrivateServers,
    start_worker: StartWorker,
    database: Database,
    session: Session,
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = start_worker("anomaly")
    worker.kill()
    client = redis.Redis.from_url(servers.redis_url)
    knocks = SimpleNamespace(score_series=partial(send, "tasks.scoring.score_series"))
    background = Background(database, client, lambda: cast(Knocks, knocks))
    monkeypatch.setattr(queues, "ENOUGH", 6)
    monkeypatch.setattr("web.background.TURN_S", 0.05)
    monkeypatch.setattr("web.background.PAUSE_PER_WORK", 0.0)
    ids, lengths = [], []
    for number in range(20):
        ids.append(store_samples(database, wave(30), f"series {number}"))
        background.note_arrivals()
        assert background.settle()
        lengths.append(queues.length(client, "anomaly"))
    background.close()
    # Messages wait, so that QueueStalled fires, but no more than these.
    assert lengths == [1, 2, 3, 4, 5, *[6] * 15]
    worker.start()
    for series_id in ids:
        wait_for(lambda series_id=series_id: is_scored(session, series_id), "everything is scored", timeout_s=60)
    wait_for(lambda: queues.length(client, "anomaly") == 0, "no message is left")
    client.close()


def test_every_line_of_a_task_carries_the_id_of_its_request(
    start_worker: StartWorker, database: Database, session: Session, send: Send
) -> None:
    series_id = store_samples(database, wave(30))
    session.execute(update(SeriesProgress).values(memory=b"of another release"))
    worker = start_worker("anomaly")
    send("tasks.scoring.score_series", series_ids=[series_id], request_id="the-request")
    wait_for(lambda: is_scored(session, series_id), "it is scored", timeout_s=60)
    told = [event for event in worker.events() if event["event"] == "series_starts_afresh"]
    assert [(event["request_id"], event["task"]) for event in told] == [("the-request", "tasks.scoring.score_series")]


def test_while_the_database_is_away_a_task_is_tried_again_with_its_request_id(
    start_worker: StartWorker, servers: PrivateServers, database: Database, session: Session, send: Send
) -> None:
    series_id = store_samples(database, wave(30))
    worker = start_worker("anomaly")
    session.close()
    servers.postgres.stop()
    try:
        send("tasks.scoring.score_series", series_ids=[series_id], request_id="patience")
        wait_for(lambda: "task_tried_again" in worker.log(), "the task is tried again", timeout_s=60)
    finally:
        servers.postgres.start()
    wait_for(lambda: is_scored(session, series_id), "it is scored", timeout_s=60)
    tried = [event for event in worker.events() if event["event"] == "task_tried_again"]
    assert tried
    assert {event["request_id"] for event in tried} == {"patience"}


def _waits_for_lock(session: Session) -> bool:
    return bool(
        session.connection()
        .exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY scores%%'"
            " AND datname = current_database()"
        )
        .scalar_one()
    )
