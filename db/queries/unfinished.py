"""How much stored work is not done yet, and how old is the oldest of it?"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from db.models.access import OutboxEntry
from db.models.analysis import AnalysisResult
from db.models.incident import Notification
from db.models.model_version import TaskRun
from db.models.sample import SeriesProgress

_OPEN = ("pending", "running")


def counts(session: Session) -> dict[str, int]:
    """Series, analyses, runs, audit entries and notifications that wait, by kind."""
    row = session.execute(
        select(
            _count(select(func.count()).select_from(SeriesProgress).where(_unscored())).label("series"),
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
        _count(
            select(func.extract("epoch", func.now() - func.min(AnalysisResult.created_at))).where(
                AnalysisResult.status.in_(_OPEN)
            )
        ),
        _count(
            select(func.extract("epoch", func.now() - func.min(TaskRun.created_at))).where(TaskRun.state.in_(_OPEN))
        ),
        _count(select(func.extract("epoch", func.now() - func.min(OutboxEntry.at)))),
    )
    oldest = session.scalar(select(func.greatest(*ages)))
    return max(0.0, float(oldest or 0.0))


def _unscored() -> ColumnElement[bool]:
    return or_(SeriesProgress.scored_until.is_(None), SeriesProgress.newest_at > SeriesProgress.scored_until)


def _count(query: Select[int]) -> ColumnElement[int]:
    return query.scalar_subquery()
