"""Which series a selector means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from sqlalchemy import ColumnElement, Select, exists, or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.models.sample import Series, SeriesProgress, samples
from db.queries.labels import Matcher, condition
from sensus.errors import Invalid

_FAULTS = {
    "2201B": "a regular expression of the selector is not valid",
    "22003": "the values are too large to be averaged; leave `step` out",
    "57014": "this takes too long; ask for a shorter range or fewer series",
}


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric name, or any, and conditions on labels that all must hold."""

    metric_name: str | None = None
    matchers: tuple[Matcher, ...] = ()

    def exact_labels(self) -> dict[str, str]:
        """The labels that are asked for by their value."""
        return {one.name: one.value for one in self.matchers if one.operator == "=" and one.value}


@dataclass(frozen=True, slots=True)
class SeriesFound:
    """One series."""

    id: int
    metric_name: str
    labels: dict[str, str]


def find(session: Session, selector: Selector, *, limit: int, alive_since: datetime | None = None) -> list[SeriesFound]:
    """Up to `limit` series, oldest first; with `alive_since` only those with a sample at or after it.

    Raises Invalid for a regular expression that cannot be used.
    """
    with faults_told():
        rows = session.execute(find_query(selector, limit=limit, alive_since=alive_since)).all()
    return [SeriesFound(*row) for row in rows]


def find_query(
    selector: Selector, *, limit: int, alive_since: datetime | None = None
) -> Select[int, str, dict[str, str]]:
    """The statement behind `find`, so that its plan can be looked at."""
    query = select(Series.id, Series.metric_name, Series.labels).where(*conditions(selector))
    if alive_since is not None:
        # Looked up series by series: joined, the planner reads the progress of all series to find that of a few.
        newest_at = select(SeriesProgress.newest_at).where(SeriesProgress.series_id == Series.id).scalar_subquery()
        # What came in a moment ago is not noted there yet.
        newer = exists().where(samples.c.series_id == Series.id, samples.c.timestamp >= alive_since)
        query = query.where(or_(newest_at >= alive_since, newer))
    return query.order_by(Series.id).limit(limit)


def newest(session: Session, *, limit: int, since: datetime) -> list[SeriesFound]:
    """Up to `limit` series that were first stored since then, newest first."""
    rows = session.execute(
        select(Series.id, Series.metric_name, Series.labels, Series.created_at).order_by(Series.id.desc()).limit(limit)
    )
    return [SeriesFound(row.id, row.metric_name, row.labels) for row in rows if row.created_at >= since]


def alive(session: Session, *, after: int, limit: int, since: datetime) -> list[SeriesFound]:
    """The next series, by id, that have a sample at or after that time."""
    query = find_query(Selector(), limit=limit, alive_since=since).where(Series.id > after)
    return [SeriesFound(*row) for row in session.execute(query)]


def exactly(session: Session, selector: Selector) -> SeriesFound | None:
    """The series that has no labels beyond those asked for by their value; None when there is none.

    Without it, a series whose labels are part of another's could never be named.
    """
    with faults_told():
        row = session.execute(find_query(selector, limit=1).where(Series.labels == selector.exact_labels())).first()
    return None if row is None else SeriesFound(*row)


def conditions(selector: Selector) -> list[ColumnElement[bool]]:
    """The selector as conditions on `series`.  Raises Invalid for a pattern that Prometheus would refuse too."""
    held = [condition(Series.labels, matcher) for matcher in selector.matchers]
    if selector.metric_name is not None:
        held.append(Series.metric_name == selector.metric_name)
    return held


@contextmanager
def faults_told() -> Iterator[None]:
    """Turn what PostgreSQL finds wrong with a caller's range or pattern into Invalid."""
    try:
        yield
    except DBAPIError as error:
        state = error.orig.sqlstate if isinstance(error.orig, psycopg.Error) else None
        if state in _FAULTS:
            raise Invalid(_FAULTS[state]) from error
        raise
