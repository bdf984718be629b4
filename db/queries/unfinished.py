"""How much stored work is not done yet, and how old is the oldest of it?"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from db.models.access import OutboxEntry
from db.models.alert import AlertHistory
from db.models.analysis import AnalysisResult
from db.models.incident import GroupingPosition, Notification
from db.models.model_version import TaskRun
from db.models.sample import SampleArrival, SeriesProgress

_OPEN = ("pending", "running")


def counts(session: Session) -> dict[str, int]:
    """Requests whose samples are not noted, series, changes of alerts, analyses, runs, audit entries, notifications."""
    row = session.execute(
        select(
            _count(select(func.count(SampleArrival.id))).label("arrivals"),
            _count(select(func.count()).select_from(SeriesProgress).where(_unscored())).label("series"),
            _count(select(func.count(AlertHistory.id)).where(_not_taken_in())).label("alerts"),
            _count(select(func.count(AnalysisResult.id)).where(AnalysisResult.status.in_(_OPEN))).label("analyses"),
            _count(select(func.count(TaskRun.id)).where(TaskRun.state.in_(_OPEN))).label("runs"),
            _count(select(func.count(OutboxEntry.id))).label("audit"),
            _count(select(func.count(Notification.id)).where(Notification.status == "waiting")).label("notifications"),
        )
    ).one()
    return {kind: int(count) for kind, count in row._mapping.items()}


def oldest_age_s(session: Session) -> float:
    """Seconds since the oldest of it was stored; 0 when all is done.  A chat server that is away is no lag of ours."""
    ages = (
        # A series that was never scored waits since it came; else since the time of its newest sample.
        _count(select(func.extract("epoch", func.now() - func.min(SeriesProgress.newest_at))).where(_unscored())),
        _count(select(func.extract("epoch", func.now() - func.min(AlertHistory.at))).where(_not_taken_in())),
        _count(
            select(func.extract("epoch", func.now() - func.min(AnalysisResult.created_at))).where(
                AnalysisResult.status.in_(_OPEN)
            )
        ),
        _count(
            select(func.extract("epoch", func.now() - func.min(TaskRun.created_at))).where(TaskRun.state.in_(_OPEN))
        ),
        _count(select(func.extract("epoch", func.now() - func.min(OutboxEntry.at)))),
        _count(select(func.extract("epoch", func.now() - func.min(SampleArrival.stored_at)))),
    )
    oldest = session.scalar(select(func.greatest(*ages)))
    return max(0.0, float(oldest or 0.0))


def _unscored() -> ColumnElement[bool]:
    return or_(SeriesProgress.scored_until.is_(None), SeriesProgress.newest_at > SeriesProgress.scored_until)


def _not_taken_in() -> ColumnElement[bool]:
    return AlertHistory.id > select(GroupingPosition.last_id).scalar_subquery()


def _count(query: Select[int]) -> ColumnElement[int]:
    return query.scalar_subquery()
