"""Many senders at once, with overlapping alerts and samples: no deadlock, nothing twice, nothing lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory, Series, SeriesProgress
from db.models.sample import samples as samples_table
from tests.factories import START, alert, samples

SENDERS = 8
ROUNDS = 6


def all_at_once(app: Flask, secret: str, path: str, body: Callable[[random.Random, int], Any]) -> list[dict[str, Any]]:
    def run(sender: int) -> list[dict[str, Any]]:
        client = app.test_client()
        chance = random.Random(sender)
        answers = []
        for turn in range(ROUNDS):
            answer = client.post(path, json=body(chance, turn), headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code == 202, answer.text
            answers.append(answer.get_json())
        return answers

    with ThreadPoolExecutor(SENDERS) as pool:
        return [answer for answers in pool.map(run, range(SENDERS)) for answer in answers]


def test_overlapping_webhooks_neither_deadlock_nor_duplicate(app: Flask, key: Any, session: Session) -> None:
    def body(chance: random.Random, _turn: int) -> Any:
        group = [
            alert(labels={"number": str(number)}, status=chance.choice(["firing", "resolved"])) for number in range(40)
        ]
        chance.shuffle(group)
        return group

    answers = all_at_once(app, key("write", rate=None), "/api/v1/alerts", body)
    assert sum(answer["accepted"] for answer in answers) == SENDERS * ROUNDS * 40
    assert sum(answer["created"] for answer in answers) == 40
    assert session.scalar(select(func.count(Alert.id))) == 40
    assert session.scalar(select(func.sum(Alert.times_received))) == SENDERS * ROUNDS * 40
    # Each change of state is told once: no two neighbours in a history are the same state.
    for row in session.scalars(select(Alert)):
        changes = session.scalars(
            select(AlertHistory.change).where(AlertHistory.alert_id == row.id).order_by(AlertHistory.id)
        ).all()
        states = ["firing" if change == "reopened" else change for change in changes]
        assert all(one != other for one, other in pairwise(states)), changes
        assert states[-1] == row.status


def test_senders_without_starts_open_one_episode_together(app: Flask, key: Any, session: Session) -> None:
    body = [alert(labels={"number": str(number)}, starts_at=None) for number in range(10)]
    all_at_once(app, key("write", rate=None), "/api/v1/alerts", lambda _chance, _turn: body)
    assert session.scalar(select(func.count(Alert.id))) == 10


def test_overlapping_batches_store_each_sample_once(app: Flask, key: Any, session: Session) -> None:
    start = START.now(START.tzinfo)

    def body(chance: random.Random, turn: int) -> Any:
        batch = [
            sample
            for number in range(20)
            for sample in samples(5, labels={"number": str(number)}, start=start, step_s=1 + turn)
        ]
        chance.shuffle(batch)
        return batch

    answers = all_at_once(app, key("write", rate=None), "/api/v1/metrics", body)
    stored = session.scalar(select(func.count()).select_from(samples_table))
    assert stored == sum(answer["accepted"] - answer["duplicates"] for answer in answers)
    distinct = {number * (1 + turn) for turn in range(ROUNDS) for number in range(5)}
    assert stored == 20 * len(distinct)
    assert session.scalar(select(func.count(Series.id))) == 20
    newest = session.scalars(select(SeriesProgress.newest_at)).all()
    assert len(set(newest)) == 1


def test_a_client_that_was_not_answered_may_send_again(writer: FlaskClient, session: Session) -> None:
    body = samples(50)
    for _ in range(3):
        assert writer.post("/api/v1/metrics", json=body).status_code == 202
    assert session.scalar(select(func.count()).select_from(samples_table)) == 50
