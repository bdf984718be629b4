"""Scoring in the worker: each sample once, in order, and the same figures as offline."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis import given
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import AnalysisResult, ModelVersion, SeriesProgress, scores
from db.queries import arrivals, detector_choices, leases, progress
from db.queries.series_reads import Selector
from db.session import Database
from ml.builtin import builtin_model
from sensus import times
from sensus.settings import Settings
from tasks.replay import replay
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import scores_of, wave

Rows = list[tuple[datetime, float]]


def score(*series_ids: int) -> None:
    from tasks.scoring import score_series

    score_series(series_ids=list(series_ids))


def note(database: Database, **portion: int) -> None:
    with database.transaction() as noting:
        arrivals.note(noting, **portion)


def offline(rows: Rows, folder: Path) -> list[tuple[datetime, float, float]]:
    source, target = folder / "in.csv", folder / "out.csv"
    with source.open("w") as file:
        file.write("timestamp,value\n")
        file.writelines(f"{times.isoformat(at)},{value!r}\n" for at, value in rows)
    replay(source, target, builtin_model(), None)
    with target.open() as file:
        return [(times.parse(r["timestamp"]), float(r["score"]), float(r["alert"])) for r in csv.DictReader(file)]


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_live_figures_equal_offline_figures_to_the_last_digit_whatever_the_batch(
    worker: Settings, session: Session, put: Put, tmp_path: Path, batch: int
) -> None:
    rows = wave(60 if batch == 1 else 600, spikes=(20, 55, 400))
    for start in range(0, len(rows), batch):
        series_id = put(rows[start : start + batch])
        score(series_id)
        score()  # a message that comes twice finds nothing
    assert scores_of(session, series_id) == offline(rows, tmp_path)


def test_samples_of_one_batch_in_any_order_are_scored_in_the_order_of_time(
    worker: Settings, session: Session, put: Put, tmp_path: Path
) -> None:
    rows = wave(300)
    shuffled = random.Random(3).sample(rows, len(rows))
    score(put(shuffled))
    assert scores_of(session, 1) == offline(rows, tmp_path)


def test_a_backlog_longer_than_a_chunk_is_scored_to_its_end(
    worker: Settings, session: Session, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.scoring.SAMPLES_A_CHUNK", 50)
    rows = wave(230)
    series_id = put(rows)
    score()
    assert scores_of(session, series_id) == offline(rows, tmp_path)


def test_a_sample_that_slips_in_while_others_are_scored_is_scored_in_its_place(
    worker: Settings,
    database: Database,
    session: Session,
    put: Put,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = wave(120)
    late = rows.pop(100)
    series_id = put(rows)
    _after_reading(monkeypatch, 1, lambda: put([late]))
    score(series_id)
    assert scores_of(session, series_id) == offline(sorted([*rows, late]), tmp_path)
    assert session.get_one(SeriesProgress, series_id).late_samples == 0


def test_a_series_into_which_samples_slip_again_and_again_is_scored_when_that_ends(
    worker: Settings, session: Session, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.scoring.BUDGET_S", 0.5)
    rows = wave(120)
    slipping = [rows[place] for place in (110, 90, 70, 50)]
    series_id = put([row for row in rows if row not in slipping])
    _after_reading(monkeypatch, 4, lambda: put([slipping.pop()]))
    score(series_id)
    there = session.get_one(SeriesProgress, series_id)
    assert (there.scored_until, there.failures) == (None, 0)
    _let_lease_end(session, series_id)
    score(series_id)
    assert scores_of(session, series_id) == offline(rows, tmp_path)
    session.expire_all()
    assert session.get_one(SeriesProgress, series_id).late_samples == 0


def test_samples_that_cannot_be_noted_now_do_not_keep_others_from_being_scored(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    from tasks.scoring import score_series

    series_id = put(wave(20), "noted")
    note(database)
    held = put(wave(20), "held")
    name = session.scalar(text("SELECT current_database()"))
    session.execute(text(f"ALTER DATABASE {name} SET lock_timeout = '50ms'"))
    score_series.database.engine.dispose()  # connections that are made from here on wait no longer than that
    with database.engine.connect() as holder:
        holder.execute(text("SELECT FROM series_progress WHERE series_id = :id FOR UPDATE"), {"id": held})
        score(series_id)
    assert len(scores_of(session, series_id)) == 20
    score()
    assert len(scores_of(session, held)) == 20


@given(data=st.data())
@hypothesis.settings(
    max_examples=15, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_every_sample_is_scored_or_counted_as_late_whatever_the_order_of_things(
    worker: Settings, database: Database, session: Session, put: Put, data: st.DataObject
) -> None:
    rows = wave(12)
    name = f"cpu{times.now().timestamp()}"
    sent: set[datetime] = set()

    def send() -> None:
        chosen = data.draw(st.lists(st.sampled_from(rows), min_size=1, max_size=6))
        put(chosen, name)
        sent.update(at for at, _ in chosen)

    def note_some() -> None:
        note(database, portion=data.draw(st.integers(1, 3)))

    for step in data.draw(st.lists(st.sampled_from([send, note_some, score]), min_size=3, max_size=10)):
        step()
    send()
    score()
    series_id = put(rows[:1], name)
    score()
    session.expire_all()
    there = session.get_one(SeriesProgress, series_id)
    scored = [at for at, _, _ in scores_of(session, series_id)]
    assert there.scored_until == there.newest_at == max(sent)
    assert len(scored) == len(set(scored))
    assert there.late_samples == len(sent | {rows[0][0]}) - len(scored)


def test_a_sample_behind_the_watermark_is_stored_and_not_scored(worker: Settings, session: Session, put: Put) -> None:
    rows = wave(60)
    late = rows.pop(30)
    score(put(rows))
    series_id = put([late])
    score(series_id)
    assert len(scores_of(session, series_id)) == 59
    assert session.get_one(SeriesProgress, series_id).late_samples == 1


def test_two_workers_on_one_series_keep_its_scores_once(
    worker: Settings, database: Database, session: Session, put: Put, tmp_path: Path
) -> None:
    from tasks import scoring

    rows = wave(100)
    series_id = put(rows)
    with database.transaction() as mine:
        slow = progress.claim(mine, [series_id], limit=1, lease_s=60)
    with database.transaction() as other:
        assert progress.claim(other, [series_id], limit=1, lease_s=60) == []
    _let_lease_end(session, series_id)
    score(series_id)
    scoring.score_claims(database, scoring._in_force.pair(database).of_series(series_id, 0.0), slow)  # comes late
    assert scores_of(session, series_id) == offline(rows, tmp_path)


def test_a_series_that_cannot_be_scored_costs_its_neighbours_nothing(
    worker: Settings, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import scoring

    good, bad, other = (put(wave(60), name) for name in ("good", "bad", "other"))
    real = scoring._scored_together

    def scored(model: Any, claims: Any, samples: Any) -> Any:
        if bad in {claim.series_id for claim in claims}:
            raise RuntimeError("of all things")
        return real(model, claims, samples)

    monkeypatch.setattr(scoring, "_scored_together", scored)
    score()
    assert len(scores_of(session, good)) == len(scores_of(session, other)) == 60
    broken = session.get_one(SeriesProgress, bad)
    assert broken.failures == 1
    assert broken.lease_until is not None
    assert broken.lease_until > times.now()


def test_a_series_that_kills_its_worker_is_left_alone_for_a_day_after_eight_times(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    poison, fine = put(wave(10), "poison"), put(wave(10), "fine")
    for attempt in range(progress.POISONED_FAILURES):
        with database.transaction() as mine:
            claims = progress.claim(mine, [poison, fine] if attempt == 0 else [poison], limit=10, lease_s=60)
        assert poison in [claim.series_id for claim in claims]
        # After its first failure it is claimed alone.
        assert attempt == 0 or len(claims) == 1
        _let_lease_end(session, poison)
    with database.transaction() as mine:
        assert progress.claim(mine, [poison], limit=10, lease_s=60) == []
        assert poison not in progress.unscored(mine, limit=10)
    _let_lease_end(session, poison, by=timedelta(days=1, minutes=1))
    with database.transaction() as mine:
        assert [claim.series_id for claim in progress.claim(mine, [poison], limit=10, lease_s=60)] == [poison]


def test_a_memory_of_another_release_starts_the_series_afresh(worker: Settings, session: Session, put: Put) -> None:
    rows = wave(80)
    series_id = put(rows[:40])
    score(series_id)
    session.execute(update(SeriesProgress).values(memory=b"of another release"))
    put(rows[40:])
    score(series_id)
    assert len(scores_of(session, series_id)) == 80


def test_rings_that_are_gone_start_the_series_afresh_when_an_hour_ends(
    worker: Settings, session: Session, put: Put
) -> None:
    rows = wave(80)
    series_id = put(rows[:40])
    score(series_id)
    session.execute(update(SeriesProgress).values(rings=None))
    put(rows[40:])
    score(series_id)
    assert len(scores_of(session, series_id)) == 80
    assert session.get_one(SeriesProgress, series_id).rings is not None


def test_rings_are_read_and_written_only_when_an_hour_of_the_series_ends(
    worker: Settings, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    keep, with_rings = progress.keep, progress.with_rings

    def kept(session: Session, results: Any, **more: Any) -> Any:
        moved.extend("written" for result in results if result.rings is not None)
        return keep(session, results, **more)

    def read(*args: Any) -> Any:
        moved.append("read")
        return with_rings(*args)

    monkeypatch.setattr(progress, "keep", kept)
    monkeypatch.setattr(progress, "with_rings", read)
    hour = times.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    rows = wave(37, start=hour)
    found = []
    for part in (rows[:30], rows[30:36], rows[36:]):  # a new series, within its third hour, and its fourth
        score(put(part))
        found.append(list(moved))
        moved.clear()
    assert found == [["written"], [], ["read", "written"]]


def test_each_series_is_scored_by_the_detector_that_was_chosen_for_it(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    rows = wave(400, spikes=(390,))
    with database.transaction() as mine:
        detector_choices.choose(mine, Selector("mem", ()), "half_space_trees", by="ada")
    ids = {name: put(rows, name) for name in ("cpu", "mem")}
    score()
    used = {
        name: session.scalars(
            select(ModelVersion.algorithm).where(
                ModelVersion.id.in_(select(scores.c.model_version_id).where(scores.c.series_id == series_id))
            )
        ).all()
        for name, series_id in ids.items()
    }
    assert used == {"cpu": ["isolation_forest"], "mem": ["half_space_trees"]}
    assert scores_of(session, ids["cpu"]) != scores_of(session, ids["mem"])


def test_an_anomaly_is_stored_with_what_a_person_needs_to_judge_it(
    worker: Settings, session: Session, put: Put
) -> None:
    rows = wave(900, spikes=range(850, 860))
    series_id = put(rows)
    score(series_id)
    found = session.query(AnalysisResult).filter_by(analysis_type="anomaly_detection").order_by("sample_at").all()
    spikes = [row for row in found if row.sample_at and row.sample_at >= rows[850][0]]
    assert spikes, "a spike of 80 on a wave of 10 is an anomaly"
    told = spikes[0].analysis_data
    assert spikes[0].status == "done"
    assert spikes[0].series_id == series_id
    assert spikes[0].model_name == "isolation_forest"
    assert spikes[0].confidence_score == told["alert"] >= told["threshold"]
    assert told["expected_low"] < told["expected_high"] < told["value"]
    assert told["model_version"] == "builtin-2"
    assert {"name", "value", "contribution"} == set(told["features"][0])


def test_a_fresh_database_gets_the_builtin_model_once(worker: Settings, session: Session, put: Put) -> None:
    score(put(wave(20)))
    score(put(wave(20), "mem"))
    versions = session.query(ModelVersion).all()
    assert [(row.version, row.is_active) for row in versions] == [("builtin-2", True)]
    recorded = session.scalars(text("SELECT DISTINCT model_version_id FROM scores")).all()
    assert recorded == [versions[0].id]


def test_work_that_does_not_fit_into_a_task_goes_on_with_the_next_message(
    sent: Sent, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.scoring.BUDGET_S", 0.0)
    score(put(wave(20)))
    assert sent.of("score_series") == [{"series_ids": [1]}]


def _after_reading(monkeypatch: pytest.MonkeyPatch, times_: int, happens: Callable[[], object]) -> None:
    """Let something happen after each of the first reads of samples, when the worker has begun to compute."""
    real = progress.unscored_samples
    left = [times_]

    def read(session: Session, *args: Any, **kwargs: Any) -> Any:
        found = real(session, *args, **kwargs)
        if left[0]:
            left[0] -= 1
            happens()
        return found

    monkeypatch.setattr(progress, "unscored_samples", read)


def _let_lease_end(session: Session, series_id: int, by: timedelta = timedelta(seconds=1)) -> None:
    session.execute(
        update(SeriesProgress).where(SeriesProgress.series_id == series_id).values(lease_until=times.now() - by)
    )


def test_a_series_whose_row_is_held_for_a_moment_is_scored_when_it_is_free(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    series_id = put(wave(20))
    note(database)
    with database.engine.connect() as holder:
        holder.execute(text("SELECT FROM series_progress WHERE series_id = :id FOR UPDATE"), {"id": series_id})
        monkeypatch.setattr("tasks.scoring.time.sleep", lambda _: holder.rollback())
        score(series_id)
    assert len(scores_of(session, series_id)) == 20


def test_a_series_whose_row_is_held_for_long_is_left_to_the_sweep(
    worker: Settings, database: Database, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import scoring

    series_id = put(wave(20))
    note(database)
    pauses: list[float] = []
    with database.engine.connect() as holder:
        holder.execute(text("SELECT FROM series_progress WHERE series_id = :id FOR UPDATE"), {"id": series_id})
        monkeypatch.setattr("tasks.scoring.time.sleep", pauses.append)
        score(series_id)
    assert tuple(pauses) == scoring.LOOK_AGAIN_S
    assert scores_of(session, series_id) == []


def test_a_stopped_workers_series_are_free_at_once_and_no_suspects(
    database: Database, session: Session, put: Put
) -> None:
    ids = [put(wave(5), name) for name in "abc"]
    with database.transaction() as mine:
        assert len(progress.claim(mine, ids[:2], limit=10, lease_s=60, holder="anomaly@here")) == 2
        progress.claim(mine, ids[2:], limit=10, lease_s=60, holder="anomaly@elsewhere")
    with database.transaction() as mine:
        assert set(leases.release(mine, "anomaly@here", blameless=True).series) == set(ids[:2])
    with database.transaction() as mine:
        again = progress.claim(mine, ids, limit=10, lease_s=60, holder="anomaly@here")
    assert [(claim.series_id, claim.attempt, claim.failures) for claim in again] == [(each, 2, 1) for each in ids[:2]]
    with database.transaction() as mine:
        leases.release(mine, "anomaly@here", blameless=False)
    assert list(session.scalars(select(SeriesProgress.failures).order_by(SeriesProgress.series_id))) == [1, 1, 1]
