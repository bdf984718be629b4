"""How much stored work is not done yet, and how old is the oldest of it?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, literal, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models.access import OutboxEntry
from db.models.alert import AlertHistory
from db.models.analysis import AnalysisResult
from db.models.anomaly_alert import AnomalyAlert
from db.models.incident import GroupingPosition, Notification
from db.models.model_version import TaskRun
from db.models.sample import SampleArrival, SeriesProgress

_OPEN = ("pending", "running")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work of one kind."""

    count: int
    oldest_s: float  # seconds since the oldest of it was stored; 0 when all is done


def waiting(session: Session) -> dict[str, Waiting]:
    """What waits, by kind.

    Requests whose samples are not noted, series, changes of alerts, analyses, runs, audit entries, anomalies to be told
    of, and notifications.
    """
    query = union_all(
        _of("arrivals", SampleArrival.stored_at),
        # The time of the newest sample tells nothing: it moves on while samples come that nobody scores.
        _of(
            "series",
            SeriesProgress.unscored_since,
            or_(SeriesProgress.scored_until.is_(None), SeriesProgress.newest_at > SeriesProgress.scored_until),
        ),
        _of("alerts", AlertHistory.at, AlertHistory.id > select(GroupingPosition.last_id).scalar_subquery()),
        _of("analyses", AnalysisResult.created_at, AnalysisResult.status.in_(_OPEN)),
        _of("runs", TaskRun.created_at, TaskRun.state.in_(_OPEN)),
        _of("audit", OutboxEntry.at),
        _of(
            "anomaly_alerts",
            AnomalyAlert.created_at,
            AnomalyAlert.end_told_at.is_(None),
            AnomalyAlert.told_at.is_(None),
        ),
        _of("notifications", Notification.created_at, Notification.status == "waiting"),
    )
    return {row.kind: Waiting(row.number, max(0.0, float(row.age_s or 0.0))) for row in session.execute(query)}


def _of(kind: str, at: InstrumentedAttribute[datetime], *which: ColumnElement[bool]) -> Select[str, int, int]:
    age_s = func.extract("epoch", func.now() - func.min(at))
    return select(literal(kind).label("kind"), func.count(at).label("number"), age_s.label("age_s")).where(*which)
