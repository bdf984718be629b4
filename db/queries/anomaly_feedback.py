"""What people said of anomalies: real, or false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.models.analysis import ANOMALY, AnalysisResult
from db.models.detection import AnomalyFeedback
from sensus.errors import NotFound


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sample of which somebody said what it was."""

    series_id: int
    at: datetime
    is_real: bool


def judge(session: Session, anomaly_id: int, *, verdict: str, note: str | None, by: str) -> AnomalyFeedback:
    """A person's verdict on an anomaly, beside earlier ones; the newest one holds.  Raises NotFound."""
    # The share lock keeps retention from dropping the series between the look and the insert.
    row = session.execute(
        select(AnalysisResult.series_id, AnalysisResult.sample_at)
        .where(AnalysisResult.id == anomaly_id, AnalysisResult.analysis_type == ANOMALY)
        .with_for_update(read=True, key_share=True)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no anomaly {anomaly_id}")
    said = AnomalyFeedback(series_id=row.series_id, sample_at=row.sample_at, verdict=verdict, note=note, actor=by)
    session.add(said)
    session.flush()
    session.refresh(said)
    return said


def labelled(session: Session, *, since: datetime, until: datetime, limit: int) -> Sequence[Labelled]:
    """The newest `limit` samples in [since, until) of which somebody said what they were, by the newest verdict."""
    newest = (
        select(AnomalyFeedback.series_id, AnomalyFeedback.sample_at, AnomalyFeedback.verdict)
        .ext(distinct_on(AnomalyFeedback.series_id, AnomalyFeedback.sample_at))
        .where(AnomalyFeedback.sample_at >= since, AnomalyFeedback.sample_at < until)
        .order_by(AnomalyFeedback.series_id, AnomalyFeedback.sample_at, AnomalyFeedback.id.desc())
        .subquery()
    )
    rows = session.execute(select(newest).order_by(newest.c.sample_at.desc(), newest.c.series_id).limit(limit))
    return [Labelled(series_id, at, verdict == "real") for series_id, at, verdict in rows]
