"""Counters are judged by their growth per second, live as offline."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import AnalysisResult, Forecast, SeriesProgress
from db.queries import history
from db.session import Database
from ml.builtin import builtin_model
from sensus import times
from sensus.settings import Settings
from tasks.histories import of_series
from tasks.replay import replay
from tests.integration.tasks.conftest import Put
from tests.integration.tasks.made import scores_of

Rows = list[tuple[datetime, float]]
STEP = timedelta(minutes=1)
DAYS = 3
COUNT = DAYS * 1440
# Requests a minute in the ordinary case.
USUAL = 600


def score(*series_ids: int) -> None:
    from tasks.scoring import score_series

    score_series(series_ids=list(series_ids))


def counter(per_minute: np.ndarray, *, restarts: tuple[int, ...] = ()) -> Rows:
    """A counter that ends about now, as a process shows it that counted so much in each minute, by chance."""
    start = (times.now() - len(per_minute) * STEP).replace(microsecond=123_457)
    counts = np.random.default_rng(3).poisson(per_minute).astype(float)
    rows, total = [], 1e6
    for place, count in enumerate(counts.tolist()):
        total = count / 2 if place in restarts else total + count
        rows.append((start + place * STEP, total))
    return rows


def traffic(**hours: float) -> np.ndarray:
    """Requests in each minute of three days; `tenfold=1` has ten times as many in the last but so many hours."""
    day = USUAL * (1 + 0.3 * np.sin(2 * np.pi * np.arange(COUNT) / 1440))
    if "tenfold" in hours:
        end = COUNT - 60
        day[end - round(60 * hours["tenfold"]) : end] *= 10
    return day


def anomalies(session: Session, series_id: int) -> list[AnalysisResult]:
    query = select(AnalysisResult).where(AnalysisResult.series_id == series_id).order_by(AnalysisResult.sample_at)
    return list(session.scalars(query))


def offline(rows: Rows, folder: Path, name: str = "requests_total") -> list[tuple[datetime, float, float]]:
    source, target = folder / f"{name}.csv", folder / "out" / f"{name}.csv"
    source.write_text("timestamp,value\n" + "".join(f"{times.isoformat(at)},{value!r}\n" for at, value in rows))
    replay(source, target, builtin_model(), None)
    lines = [line.split(",") for line in target.read_text().splitlines()[1:]]
    return [(times.parse(at), float(score), float(alert)) for at, score, alert in lines]


def test_ten_times_the_traffic_for_an_hour_is_found_and_told_as_growth_per_second(
    worker: Settings, session: Session, put: Put
) -> None:
    rows = counter(traffic(tenfold=1))
    series_id = put(rows, "requests_total")
    score(series_id)
    began, ended = rows[COUNT - 120][0], rows[COUNT - 60][0]
    found = anomalies(session, series_id)
    assert found
    assert all(began <= one.sample_at < ended for one in found if one.sample_at)
    told = found[0].analysis_data
    assert told["per_second"] is True
    assert found[0].sample_at is not None
    assert found[0].sample_at < began + 5 * STEP
    assert told["value"] == pytest.approx(10 * USUAL / 60, rel=0.4)
    assert told["expected_low"] < USUAL / 60 < told["expected_high"] < told["value"]
    forecast = session.get_one(Forecast, series_id)
    assert forecast.per_second
    assert forecast.level < 10 * USUAL / 60


def test_errors_that_come_a_hundred_times_as_often_page_within_minutes(
    worker: Settings, session: Session, put: Put
) -> None:
    errors = np.full(COUNT, 2.0)
    errors[-60:] = 200.0
    rows = counter(errors)
    series_id = put(rows, "errors_total", service="checkout")
    score(series_id)
    (first, *_) = [one for one in anomalies(session, series_id) if one.sample_at and one.sample_at >= rows[-60][0]]
    assert first.sample_at is not None
    assert first.sample_at <= rows[-58][0]


def test_restarts_of_a_process_are_no_anomalies(worker: Settings, session: Session, put: Put) -> None:
    restarts = (2000, 2300, 3100, 3900, 4200)
    rows = counter(traffic(), restarts=restarts)
    series_id = put(rows, "requests_total")
    score(series_id)
    assert anomalies(session, series_id) == []
    figures = scores_of(session, series_id)
    assert [at for at, _, _ in figures] == [at for at, _ in rows]
    assert [figures[place][1:] for place in (0, *restarts)] == [(0.0, 0.0)] * 6


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_a_counters_live_figures_equal_its_offline_figures_whatever_the_batch(
    worker: Settings, session: Session, put: Put, tmp_path: Path, batch: int
) -> None:
    rows = counter(np.full(200, 60.0), restarts=(70, 71, 140))
    rows[30] = (rows[30][0], float("nan"))  # the growth at the next one is since the one before
    rows = rows[-60:] if batch == 1 else rows
    for start in range(0, len(rows), batch):
        series_id = put(rows[start : start + batch], "requests_total")
        score(series_id)
    numbers = [row for row in rows if row[1] == row[1]]
    assert scores_of(session, series_id) == offline(numbers, tmp_path)
    assert sum(score > 0 for _, score, _ in scores_of(session, series_id)) > len(rows) / 2


def test_a_gauge_that_is_called_count_is_judged_by_its_level(
    worker: Settings, session: Session, put: Put, tmp_path: Path
) -> None:
    rows = counter(np.full(120, 60.0))
    threads, requests = put(rows, "jvm_thread_count"), put(rows, "http_seconds_count")
    put(rows, "http_seconds_sum")
    score()
    assert scores_of(session, threads) == offline(rows, tmp_path, "jvm_thread_count")
    assert scores_of(session, requests) != scores_of(session, threads)
    (tmp_path / "http_seconds_sum.csv").touch()
    assert scores_of(session, requests) == offline(rows, tmp_path, "http_seconds_count")


def test_a_histogram_that_is_known_to_be_one_later_begins_anew(worker: Settings, session: Session, put: Put) -> None:
    rows = counter(np.full(40, 60.0))
    series_id = put(rows[:20], "http_seconds_count")
    score(series_id)
    assert session.get_one(SeriesProgress, series_id).counted is None
    put(rows[:1], "http_seconds_sum")
    put(rows[20:], "http_seconds_count")
    score(series_id)
    session.expire_all()
    there = session.get_one(SeriesProgress, series_id)
    assert (there.counted_at, there.counted, there.failures) == (*rows[-1], 0)
    assert there.scored_until == rows[-1][0]
    assert len(scores_of(session, series_id)) == 40


def test_a_counter_that_an_older_release_judged_by_its_total_begins_anew(
    worker: Settings, session: Session, put: Put
) -> None:
    rows = counter(np.full(2000, 60.0))
    as_level = put(rows[:1990], "jobs")
    score(as_level)
    memory, rings = session.execute(
        select(SeriesProgress.memory, SeriesProgress.rings).where(SeriesProgress.series_id == as_level)
    ).one()
    series_id = put(rows[:1990], "jobs_total")
    score(series_id)
    session.execute(
        update(SeriesProgress)
        .where(SeriesProgress.series_id == series_id)
        .values(memory=memory, rings=rings, counted_at=None, counted=None)
    )
    put(rows[1990:], "jobs_total")
    score(series_id)
    assert [one for one in anomalies(session, series_id) if one.sample_at and one.sample_at >= rows[1990][0]] == []
    states = history_states(session, series_id)[-10:]
    assert states == [0] * 10


def history_states(session: Session, series_id: int) -> list[int]:
    from db.models import scores

    return list(
        session.scalars(select(scores.c.state).where(scores.c.series_id == series_id).order_by(scores.c.timestamp))
    )


def test_a_model_learns_from_the_growth_of_counters(
    worker: Settings, database: Database, session: Session, put: Put, tmp_path: Path
) -> None:
    from tasks.scoring import score_series

    rows = counter(np.full(50, 60.0), restarts=(20,))
    series_id = put(rows, "requests_total")
    seconds, values = of_series(score_series, series_id, rows[0][0], times.now(), at_least=1000)
    assert len(seconds) == len(values) == 48
    assert float(np.mean(values)) == pytest.approx(1.0, abs=0.1)
    assert history.metric_name(session, series_id) == "requests_total"
    assert history.metric_name(session, series_id + 1) == ""
