"""Workers that are killed while two versions score, and one takes over from the other: no figure is changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from db.models import SeriesProgress
from db.session import Database
from ml.builtin import builtin_model
from sensus import times
from tests.faults.tasks.conftest import Send, StartWorker
from tests.integration.tasks.made import is_scored, scores_of, store_samples, wave
from tests.integration.tasks.versions import activate, another, challenge, offline, shadow_of
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


def versions_of(session: Session) -> list[tuple[datetime, str]]:
    """The time of each sample, and the version whose figures it has."""
    rows = session.execute(
        text(
            "SELECT s.timestamp, v.version FROM scores s JOIN model_versions v ON v.id = s.model_version_id"
            " ORDER BY s.timestamp"
        )
    )
    return [(at, version) for at, version in rows]


def test_killed_workers_and_a_promotion_in_the_middle_change_no_figure(
    start_worker: StartWorker, database: Database, session: Session, send: Send
) -> None:
    challenger_id = challenge(database)
    worker = start_worker("anomaly")
    rows = wave(600, spikes=(100, 310, 311, 550))
    for place, start in enumerate(range(0, len(rows), 50)):
        series_id = store_samples(database, rows[start : start + 50])
        for _ in range(2):  # a message that comes twice
            send("tasks.scoring.score_series", series_ids=[series_id])
        if place in (2, 8):
            worker.kill_child()
        if place == 5:
            _freed(session)
            send("tasks.scoring.score_series", series_ids=[series_id])
            wait_for(
                lambda series_id=series_id: is_scored(session, series_id), "the first half is scored", timeout_s=60
            )
            activate(database, "another")
    _freed(session)
    send("tasks.scoring.score_series", series_ids=[series_id])
    wait_for(lambda: is_scored(session, series_id), "everything is scored", timeout_s=60)
    versions = versions_of(session)
    assert [version for version, _ in groupby(version for _, version in versions)] == ["builtin-2", "another"]
    assert versions[300] == (rows[300][0], "another"), "it takes over at the sample after its promotion"
    assert scores_of(session, series_id) == offline([(builtin_model(), rows[:300]), (another(), rows[300:])])
    assert shadow_of(session, series_id) == offline([(another(), rows[:300])])
    shadows = session.scalars(text("SELECT DISTINCT model_version_id FROM shadow_scores")).all()
    assert shadows == [challenger_id]


def _freed(session: Session) -> None:
    """The lease of who was killed is over."""
    session.execute(
        update(SeriesProgress)
        .where(SeriesProgress.lease_until.is_not(None))
        .values(lease_until=times.now() - timedelta(seconds=1))
    )
