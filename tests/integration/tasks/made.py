"""Rows for the tests of the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from db.models import Alert, AnalysisResult, ChangeEvent, Incident, IncidentAlert, SampleArrival, SeriesProgress
from db.queries import samples, series
from db.queries.samples import NewSamples
from db.queries.series import SeriesKey
from db.session import Database
from sensus import times

STEP = timedelta(minutes=5)


def wave(
    count: int, *, start: datetime | None = None, seed: int = 0, step: timedelta = STEP, spikes: Sequence[int] = ()
) -> list[tuple[datetime, float]]:
    """A noisy daily wave that ends about now; at `spikes` it stands far out."""
    start = start or (times.now() - count * step).replace(microsecond=123_457)
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        at = start + place * step
        value = 50 + 10 * float(np.sin(2 * np.pi * (at.hour * 60 + at.minute) / 1440)) + float(rng.standard_normal())
        rows.append((at, value + (80.0 if place in spikes else 0.0)))
    return rows


def store_samples(
    database: Database,
    rows: Sequence[tuple[datetime, float]],
    name: str = "cpu",
    labels: Mapping[str, str] | None = None,
) -> int:
    """Store samples as ingest does; the id of their series."""
    key = SeriesKey(name, tuple(sorted((labels or {}).items())))
    new = NewSamples()
    place = new.place_of(key)
    for at, value in rows:
        new.add(place, times.to_microseconds(at), value)
    with database.transaction() as session:
        series.hold(session)
        _, ids = samples.store(session, new, {})
    return ids[key]


def is_scored(session: Session, series_id: int) -> bool:
    """Whether all that came in of the series is noted and scored, and nobody works on it."""
    there = session.get_one(SeriesProgress, series_id, populate_existing=True)
    is_noted = session.scalar(select(func.count(SampleArrival.id))) == 0
    return is_noted and there.scored_until == there.newest_at and there.lease_until is None


def scores_of(session: Session, series_id: int) -> list[tuple[datetime, float, float]]:
    """Time, score and alert figure of each scored sample, in order of time."""
    rows = session.execute(
        text("SELECT timestamp, score, alert FROM scores WHERE series_id = :id ORDER BY timestamp"), {"id": series_id}
    )
    return [(at, score, alert) for at, score, alert in rows]


def add_alert(
    session: Session, name: str = "HighLatency", *, starts_at: datetime | None = None, **values: Any
) -> Alert:
    """One firing alert."""
    labels = values.pop("labels", {"service": "checkout", "instance": "web03:9100"})
    alert = Alert(
        fingerprint=values.pop("fingerprint", f"{name}-{len(labels)}-{times.now().timestamp()}"),
        alert_name=name,
        severity="critical",
        labels={"alertname": name, **labels},
        annotations=values.pop("annotations", {"summary": f"{name} on checkout"}),
        starts_at=starts_at or datetime.now(UTC) - timedelta(minutes=5),
        status=values.pop("status", "firing"),
        **values,
    )
    session.add(alert)
    session.flush()
    return alert


def add_analysis(session: Session, alert: Alert, **values: Any) -> int:
    """An analysis that waits, as a person's request leaves it."""
    row = AnalysisResult(
        alert_id=alert.id,
        analysis_type="llm_analysis",
        status=values.pop("status", "pending"),
        automatic=values.pop("automatic", False),
        **values,
    )
    session.add(row)
    session.flush()
    return row.id


def of_incident(session: Session, alert: Alert, *, state: int = 1) -> int:
    """The waiting analysis of an incident that consists of this alert, as grouping leaves it."""
    there = session.scalar(select(IncidentAlert.incident_id).where(IncidentAlert.alert_id == alert.id))
    if there is None:
        made = Incident(
            title=alert.alert_name,
            opened_at=alert.starts_at,
            active_since=alert.starts_at,
            last_activity_at=alert.starts_at,
            lead_alert_id=alert.id,
            services=["checkout"],
            alert_names=[alert.alert_name],
        )
        session.add(made)
        session.flush()
        there = made.id
        session.add(IncidentAlert(alert_id=alert.id, incident_id=there, reason="the first", strength=1.0))
    session.execute(update(Incident).where(Incident.id == there).values(state=state, analysed_state=state))
    row = AnalysisResult(
        incident_id=there, incident_state=state, analysis_type="llm_analysis", status="pending", automatic=True
    )
    session.add(row)
    session.flush()
    return row.id


def add_change(session: Session, title: str, *, at: datetime, **labels: str) -> ChangeEvent:
    """A deploy."""
    row = ChangeEvent(kind="deploy", title=title, labels=labels, at=at, digest=f"{title}{at}{labels}".encode())
    session.add(row)
    session.flush()
    return row
