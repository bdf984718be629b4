"""Samples and scores of chosen series over a range of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Row, Select, TextClause, select, text
from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion
from db.models.sample import STATE_NAMES, scores
from db.queries.series_reads import faults_told
from sensus.errors import Invalid

Points = list[tuple[datetime, float]]

# One bounded index scan a series: a range that is too long is noticed after `most` rows, not after all of them.
_RAW = """
    SELECT wanted.id, found.timestamp, found.value
    FROM unnest(CAST(:series_ids AS bigint[])) WITH ORDINALITY AS wanted (id, position)
    CROSS JOIN LATERAL (
        SELECT timestamp, value FROM samples
        WHERE series_id = wanted.id AND timestamp BETWEEN :start AND :end
        ORDER BY timestamp LIMIT :most
    ) AS found
    ORDER BY wanted.position, found.timestamp LIMIT :most
"""

# avg keeps a sum of squares that overflows at a value of 1e155, and a sum overflows at two of 1e308, which some
# exporters write for "no limit".  A power of two costs no digit.
MEAN = "sum(value / 1048576) / count(*) * 1048576"
_AVERAGED = f"""
    SELECT series_id, date_bin(make_interval(secs => :step_s), timestamp, 'epoch') AS bucket,
           {MEAN} AS mean
    FROM samples
    WHERE series_id = ANY(CAST(:series_ids AS bigint[])) AND timestamp BETWEEN :start AND :end
    GROUP BY series_id, bucket
    ORDER BY array_position(CAST(:series_ids AS bigint[]), series_id), bucket LIMIT :most
"""  # noqa: S608 (only constants of this module are put together)


@dataclass(frozen=True, slots=True)
class Scored:
    """What scoring said of one sample; `state` and `model_version` by name."""

    timestamp: datetime
    score: float
    alert: float
    state: str
    model_version: str | None


def points(
    session: Session,
    series_ids: Sequence[int],
    *,
    start: datetime,
    end: datetime,
    step_s: int | None,
    most: int,
) -> dict[int, Points]:
    """Samples by series, oldest first, both ends included; with a step the mean of each bucket at its beginning.

    Series without a sample are left out. Raises Invalid for more than `most` points in all.
    """
    given = {"series_ids": list(series_ids), "start": start, "end": end, "most": most + 1}
    with faults_told():
        if step_s is None:
            rows = session.execute(points_statement(step_s), given).all()
        else:
            rows = session.execute(points_statement(step_s), {**given, "step_s": step_s}).all()
    if len(rows) > most:
        raise Invalid(
            f"more than {most} points lie in this range; ask for a shorter range, fewer series or a longer `step`"
        )
    return {series_id: [(row[1], row[2]) for row in its] for series_id, its in groupby(rows, key=itemgetter(0))}


def points_statement(step_s: int | None) -> TextClause:
    """The statement behind `points`, so that its plan can be looked at."""
    return text(_RAW if step_s is None else _AVERAGED)


def scored(
    session: Session,
    series_id: int,
    *,
    start: datetime | None,
    end: datetime | None,
    after: datetime | None = None,
    limit: int,
) -> list[Scored]:
    """Up to `limit` scores of a series, oldest first, both ends included, later than `after`."""
    with faults_told():
        rows = session.execute(scored_query(series_id, start=start, end=end, after=after, limit=limit)).all()
    versions = _version_names(session, rows)
    return [
        Scored(row.timestamp, row.score, row.alert, STATE_NAMES[row.state], versions.get(row.model_version_id))
        for row in rows
    ]


def scored_query(
    series_id: int,
    *,
    start: datetime | None,
    end: datetime | None,
    after: datetime | None = None,
    limit: int,
) -> Select[Any]:
    """The statement behind `scored`, so that its plan can be looked at."""
    query = select(scores).where(scores.c.series_id == series_id).order_by(scores.c.timestamp).limit(limit)
    if start is not None:
        query = query.where(scores.c.timestamp >= start)
    if end is not None:
        query = query.where(scores.c.timestamp <= end)
    return query if after is None else query.where(scores.c.timestamp > after)


def _version_names(session: Session, rows: Sequence[Row[Any]]) -> dict[int, str]:
    ids = set(map(attrgetter("model_version_id"), rows))
    if not ids:
        return {}
    found = session.execute(select(ModelVersion.id, ModelVersion.version).where(ModelVersion.id.in_(ids)))
    return {version_id: version for version_id, version in found}  # noqa: C416 - a Row is no pair to the type checker
