"""Our anomalies as alerts of a real Alertmanager."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.models import Alert, AnomalyAlert
from db.session import Database
from sensus import metrics, times
from sensus.settings import Settings
from tests.alertmanager import NOBODY, Alertmanager
from tests.factories import alert, alertmanager_webhook
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import wave

pytestmark = pytest.mark.peers

NAME = "SensusAnomaly"
STEP = timedelta(minutes=1)
DAYS_OF_HISTORY = 2 * 1440


@pytest.fixture
def alertmanager(peers: None, tmp_path: Path) -> Iterator[Alertmanager]:
    with Alertmanager(tmp_path / "alertmanager") as running:
        yield running


@pytest.fixture
def settings(settings: Settings, alertmanager: Alertmanager) -> Settings:
    return settings.model_copy(
        update={"alertmanager_url": SecretStr(alertmanager.url), "anomaly_alerts": True, "ollama_url": NOBODY}
    )


class Watched:
    """A series with two days of history, and what comes next."""

    def __init__(self, put: Put, ends: datetime | None = None) -> None:
        self._put = put
        self.rows = wave(DAYS_OF_HISTORY, start=(ends or times.now()) - DAYS_OF_HISTORY * STEP, step=STEP)
        self.id = self.comes(*self.rows)

    def comes(self, *rows: tuple[datetime, float]) -> int:
        from tasks.scoring import score_series

        id_ = self._put(rows, name="latency", service="checkout", instance="web03:9100")
        score_series(series_ids=[id_])
        return id_

    def next(self, *offsets: float) -> None:
        """Samples one step after the other, so far above what is usual."""
        for offset in offsets:
            at, _ = self.rows[-1]
            usual = self.rows[-1440][1]
            self.rows.append((at + STEP, usual + offset))
            self.comes((at + STEP, usual + offset))


class WatchedCounter(Watched):
    """A counter that grows each minute by so much."""

    _total = 0.0

    def comes(self, *rows: tuple[datetime, float]) -> int:
        from tasks.scoring import score_series

        totals = []
        for at, grown in rows:
            self._total += grown
            totals.append((at, self._total))
        id_ = self._put(totals, name="requests_total", service="checkout")
        score_series(series_ids=[id_])
        return id_

    def restarts(self) -> None:
        self._total = 0.0


def tell() -> None:
    from tasks.anomaly_alerts import tell as task

    task()


def one(session: Session) -> AnomalyAlert:
    session.expire_all()
    return session.scalars(select(AnomalyAlert)).one()


def count(session: Session) -> int:
    return session.scalar(select(func.count(AnomalyAlert.id))) or 0


def passes(session: Session, seconds: float) -> None:
    """So much time has gone by since what was told."""
    session.execute(
        text(
            "UPDATE anomaly_alerts SET first_told_at = first_told_at - make_interval(secs => :s), "
            "told_at = told_at - make_interval(secs => :s), told_until = told_until - make_interval(secs => :s)"
        ),
        {"s": seconds},
    )


def listed(alertmanager: Alertmanager) -> list[dict[str, Any]]:
    return [found for found in alertmanager.listed() if found["labels"]["alertname"] == NAME]


def posts(outcome: str) -> float:
    return float(metrics.anomaly_alert_posts.labels(outcome)._value.get())


def test_an_anomaly_fires_with_the_labels_of_its_series_and_ends_when_the_values_are_back(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put)
    tell()
    assert listed(alertmanager) == []
    series.next(80.0)
    assert sent.of("tell") == [{}]
    tell()
    (told,) = listed(alertmanager)
    assert told["labels"] == {
        "alertname": NAME,
        "severity": "warning",
        "metric_name": "latency",
        "service": "checkout",
        "instance": "web03:9100",
    }
    assert told["fingerprint"] == one(session).fingerprint
    assert "latency is strange" in told["annotations"]["summary"]
    series.next(80.0, 81.0)
    passes(session, 120)
    tell()
    assert one(session).ends_at is None, "it lasts"
    series.next(0.0, 0.0)
    tell()
    row = one(session)
    assert row.ends_at == min(series.rows[-2][0], row.ends_at)
    assert row.end_told_at is not None
    alertmanager.wait_until_listed(NAME, False)
    before = posts("done")
    tell()
    assert posts("done") == before, "nothing is left to be told"


def test_an_alert_of_a_counter_is_about_its_growth_and_ends_when_that_is_back(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = WatchedCounter(put)
    tell()
    assert listed(alertmanager) == []
    series.next(600.0)
    tell()
    (told,) = listed(alertmanager)
    assert told["annotations"]["summary"].startswith("growth of requests_total is strange: ")
    assert told["annotations"]["summary"].endswith(" per second")
    assert one(session).per_second
    series.restarts()
    series.next(600.0, 600.0)
    passes(session, 120)
    tell()
    assert one(session).ends_at is None, "it lasts, and the restart said nothing of it"
    series.next(0.0, 0.0)
    tell()
    assert one(session).ends_at is not None


def test_a_spike_of_one_sample_fires_for_a_minute_although_it_is_over_at_once(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    Watched(put).next(80.0, 0.0, 0.0)
    tell()
    assert one(session).ends_at is None
    assert len(listed(alertmanager)) == 1
    tell()
    assert one(session).ends_at is not None
    assert one(session).end_told_at is None
    assert len(listed(alertmanager)) == 1, "seen by whoever waits for its group"
    passes(session, 61)
    tell()
    assert one(session).end_told_at is not None
    alertmanager.wait_until_listed(NAME, False)


def test_it_is_told_again_while_it_lasts_and_is_one_alert(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    Watched(put).next(80.0)
    tell()
    first = listed(alertmanager)[0]
    told_until = one(session).told_until
    tell()
    assert one(session).told_until == told_until, "told a moment ago"
    passes(session, 31)
    tell()
    again = listed(alertmanager)[0]
    assert (again["startsAt"], again["fingerprint"]) == (first["startsAt"], first["fingerprint"])
    assert times.parse(again["endsAt"]) > times.parse(first["endsAt"])
    assert count(session) == 1


def test_an_alertmanager_that_forgot_it_at_its_restart_hears_of_it_again(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    Watched(put).next(80.0)
    tell()
    alertmanager.restart()
    assert listed(alertmanager) == []
    passes(session, 31)
    tell()
    assert len(listed(alertmanager)) == 1


def test_while_the_alertmanager_is_away_the_rows_wait(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put)
    alertmanager.stop()
    series.next(80.0)
    before = posts("away")
    tell()
    tell()
    assert posts("away") == before + 2
    assert one(session).first_told_at is None
    alertmanager.start()
    tell()
    assert len(listed(alertmanager)) == 1
    # And the end waits in the same way.
    alertmanager.stop()
    passes(session, 61)
    series.next(0.0, 0.0)
    tell()
    assert one(session).end_told_at is None
    alertmanager.start()
    tell()
    assert one(session).end_told_at is not None


def test_an_end_that_could_not_be_told_is_known_by_the_time_limit(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put)
    series.next(80.0)
    tell()
    alertmanager.stop()
    series.next(0.0, 0.0)
    passes(session, 400)
    before = posts("away")
    tell()
    assert one(session).end_told_at is not None
    assert posts("away") == before


def test_a_stronger_anomaly_of_a_series_that_is_strange_is_the_same_alert(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put)
    series.next(80.0)
    tell()
    started, before = one(session).starts_at, one(session).newest_at
    series.next(900.0)
    tell()
    row = one(session)
    assert (row.starts_at, row.newest_at) == (started, before + STEP)
    passes(session, 31)
    tell()
    assert len(listed(alertmanager)) == 1


def test_what_was_strange_long_ago_is_no_alert(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put, ends=times.now() - timedelta(hours=1))
    series.next(80.0, *[0.0] * 40)
    tell()
    assert count(session) == 0


def test_what_was_found_late_and_still_lasts_is_an_alert(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put, ends=times.now() - timedelta(minutes=30))
    series.next(*[80.0] * 29)
    tell()
    assert count(session) == 1
    assert len(listed(alertmanager)) == 1


def test_a_series_that_falls_silent_ends_its_alert(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put, ends=times.now() - timedelta(minutes=9))
    series.next(80.0)
    tell()
    assert one(session).ends_at is None
    session.execute(text("UPDATE samples SET timestamp = timestamp - interval '10 minutes'"))
    tell()
    assert one(session).ends_at is not None


def test_a_level_that_lasts_is_the_new_usual_half_an_hour_after_the_last_anomaly(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put)
    series.next(80.0)
    tell()
    assert one(session).ends_at is None
    session.execute(
        text("UPDATE anomaly_alerts SET starts_at = starts_at - :ago, newest_at = newest_at - :ago"),
        {"ago": timedelta(minutes=31)},
    )
    series.next(80.0, 80.0)
    # Out of the expected range as before; but all anomalies are long ago, whatever was found strange just now.
    session.execute(text("DELETE FROM ai_analysis_results WHERE analysis_type = 'anomaly_detection'"))
    tell()
    assert one(session).ends_at is not None


def test_a_new_anomaly_after_the_end_is_a_new_alert(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    series = Watched(put)
    series.next(80.0)
    tell()
    series.next(0.0, 0.0)
    passes(session, 61)
    tell()
    assert one(session).end_told_at is not None
    series.next(900.0)
    tell()
    assert count(session) == 2
    assert len(listed(alertmanager)) == 1


def test_its_own_anomaly_that_comes_back_by_the_webhook_opens_nothing(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put, writer: FlaskClient
) -> None:
    Watched(put).next(80.0)
    tell()
    (told,) = listed(alertmanager)
    back = {name: told[name] for name in ("labels", "annotations", "startsAt", "fingerprint")} | {"status": "firing"}
    before = metrics.alerts_echoed._value.get()
    answer = writer.post("/api/v1/alerts", json=alertmanager_webhook([back, alert("Other")]))
    receipt = answer.get_json()
    assert (answer.status_code, receipt["accepted"], receipt["created"], receipt["duplicates"]) == (202, 2, 1, 1)
    assert len(receipt["alert_ids"]) == 1
    alone = writer.post("/api/v1/alerts", json=alertmanager_webhook([back | {"status": "resolved"}])).get_json()
    assert (alone["accepted"], alone["created"], alone["duplicates"], alone["alert_ids"]) == (1, 0, 1, [])
    assert session.scalars(select(Alert.alert_name)).all() == ["Other"]
    assert metrics.alerts_echoed._value.get() == before + 2


def test_its_own_anomaly_that_the_alertmanager_lists_opens_nothing(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put
) -> None:
    from tasks.reconciler import reconcile

    Watched(put).next(80.0)
    tell()
    alertmanager.tell({"alertname": "Other"})
    for _ in range(3):
        reconcile()
    assert session.scalars(select(Alert.alert_name)).all() == ["Other"]


def test_the_anomaly_of_another_sensus_is_an_alert_like_any(writer: FlaskClient, session: Session) -> None:
    answer = writer.post("/api/v1/alerts", json=alertmanager_webhook([alert(NAME)]))
    assert answer.get_json()["created"] == 1
    assert session.scalars(select(Alert.alert_name)).all() == [NAME]


def test_without_the_setting_nothing_is_told(
    alertmanager: Alertmanager, sent: Sent, session: Session, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import resources

    there = resources.resources()
    off = replace(there, settings=there.settings.model_copy(update={"anomaly_alerts": False}))
    monkeypatch.setitem(resources._opened, os.getpid(), off)
    Watched(put).next(80.0)
    tell()
    assert sent.of("tell") == []
    assert count(session) == 0


def test_a_crowd_of_series_is_told_in_a_few_posts(
    alertmanager: Alertmanager, sent: Sent, database: Database, session: Session
) -> None:
    session.execute(
        text(
            """
            WITH made AS (
                INSERT INTO series (metric_name, labels, digest)
                SELECT 'm', jsonb_build_object('n', n::text), sha256(n::text::bytea) FROM generate_series(1, 1200) n
                RETURNING id
            ), samples AS (
                INSERT INTO samples (series_id, timestamp, value) SELECT id, date_trunc('second', now()), 9 FROM made
            )
            INSERT INTO ai_analysis_results
                (analysis_type, status, analysis_data, series_id, sample_at, score, confidence_score)
            SELECT 'anomaly_detection', 'done', '{"value": 9, "expected_low": 1, "expected_high": 2}',
                id, date_trunc('second', now()), 0.9, 0.9
            FROM made
            """
        )
    )
    tell()
    assert count(session) == 1200
    assert len(listed(alertmanager)) == 1200
