"""Forecasts in the worker: made when an hour of a series is over, with its scores or not at all, and asked for."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models.detection import Forecast
from sensus import times
from sensus.settings import Settings
from tests.integration.tasks.conftest import Put
from tests.integration.tasks.made import scores_of, wave

HOUR = timedelta(hours=1)
STEP = timedelta(minutes=5)


def score(*series_ids: int) -> None:
    from tasks.scoring import score_series

    score_series(series_ids=list(series_ids))


def filling(count: int) -> list[tuple[datetime, float]]:
    """A disk that fills by 1 % an hour and is at 90 % now."""
    now = times.now().replace(microsecond=0)
    return [(now - (count - 1 - place) * STEP, 90.0 - (count - 1 - place) / 12) for place in range(count)]


def forecast_of(session: Session, series_id: int) -> Forecast:
    return session.get_one(Forecast, series_id, populate_existing=True)


def test_a_disk_that_fills_is_told_when_it_is_full(
    worker: Settings, writer: FlaskClient, session: Session, put: Put
) -> None:
    score(put(filling(500), "disk_used_percent", instance="db-1"))
    answer = writer.get('/api/v1/forecast?match=disk_used_percent{instance="db-1"}&threshold=95')
    (told,) = answer.get_json()["series"]
    assert told["time_to_threshold"] == pytest.approx(5 * 3600, abs=1800)
    assert told["reason"] is None
    assert len(told["hours"]) == 24
    assert all(low <= expected <= high for _, expected, low, high in told["hours"])
    assert told["hours"][0][0] == pytest.approx(times.to_epoch(times.now()), abs=3600)


def test_a_forecast_is_made_when_an_hour_is_over_and_not_before(worker: Settings, session: Session, put: Put) -> None:
    start = (times.now() - 3 * HOUR).replace(minute=0, second=0, microsecond=0)
    rows = wave(30, start=start)
    score(put(rows[:12]))
    assert session.scalars(select(Forecast)).all() == []
    series_id = put(rows[12:13])
    score(series_id)
    first = forecast_of(session, series_id)
    assert (first.known_at, first.starts_at, len(first.expected)) == (rows[12][0], start + 2 * HOUR, 48)
    put(rows[13:24])
    score(series_id)
    assert forecast_of(session, series_id).known_at == rows[12][0]
    put(rows[24:])
    score(series_id)
    assert forecast_of(session, series_id).starts_at == start + 3 * HOUR


def test_scores_that_are_not_kept_leave_no_forecast(
    worker: Settings, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from db.queries import progress

    series_id = put(wave(60))
    real = progress.unscored_samples

    def taken_over(mine: Session, *args: object, **options: object) -> object:
        session.execute(text("UPDATE series_progress SET attempt = attempt + 1"))
        return real(mine, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(progress, "unscored_samples", taken_over)
    score(series_id)
    assert scores_of(session, series_id) == []
    assert session.scalars(select(Forecast)).all() == []
