"""What a model learns from and is measured on: a fair choice of series, and their samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, func, literal, select
from sqlalchemy.orm import Session

from db.models.sample import Series, SeriesProgress, samples


@dataclass(frozen=True, slots=True)
class Place:
    """A series in the order in which series are chosen."""

    key: str
    series_id: int


def series_in_order(session: Session, seed: int, *, since: datetime, after: str = "", limit: int) -> Sequence[Place]:
    """The next series with samples since then, in an order that is random, and the same for the same seed."""
    key = func.md5(cast(SeriesProgress.series_id, Text) + literal(f"/{seed}")).label("key")
    rows = session.execute(
        select(key, SeriesProgress.series_id)
        .where(SeriesProgress.newest_at >= since, key > after)
        .order_by(key)
        .limit(limit)
    )
    return [Place(*row) for row in rows]


def metric_name(session: Session, series_id: int) -> str:
    """What the series measures; empty when it is gone."""
    return session.scalar(select(Series.metric_name).where(Series.id == series_id)) or ""


def count_series(session: Session, *, since: datetime) -> int:
    """How many series have samples since then."""
    return session.scalar(select(func.count()).where(SeriesProgress.newest_at >= since)) or 0


def with_samples(session: Session, series_ids: Sequence[int], *, since: datetime, until: datetime) -> set[int]:
    """Which of these series have a sample in [since, until)."""
    in_time = (samples.c.timestamp >= since) & (samples.c.timestamp < until)
    has_any = select(samples.c.series_id).where(samples.c.series_id == SeriesProgress.series_id, in_time).exists()
    return set(
        session.scalars(select(SeriesProgress.series_id).where(SeriesProgress.series_id.in_(series_ids), has_any))
    )


def newest_samples(
    session: Session, series_id: int, *, since: datetime, until: datetime, limit: int
) -> list[tuple[datetime, float]]:
    """The newest `limit` samples of a series in [since, until), in order of time."""
    rows = session.execute(
        select(samples.c.timestamp, samples.c.value)
        .where(samples.c.series_id == series_id, samples.c.timestamp >= since, samples.c.timestamp < until)
        .order_by(samples.c.timestamp.desc())
        .limit(limit)
    ).all()
    return [(at, value) for at, value in reversed(rows)]
