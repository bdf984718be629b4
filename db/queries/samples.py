"""Stores samples in bulk: once each, in the right order of locks, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.queries import partitions, series
from db.queries.series import KnownSeries, SeriesKey
from db.session import Database

_NO_PARTITION = "23514"


@dataclass(slots=True)
class NewSamples:
    """Samples column by column; `places` says to which of `keys` each belongs."""

    keys: list[SeriesKey] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    _known: dict[SeriesKey, int] = field(default_factory=dict)

    def place_of(self, key: SeriesKey) -> int:
        """The place of a series, which is added when it is new here."""
        place = self._known.get(key)
        if place is None:
            place = self._known[key] = len(self.keys)
            self.keys.append(key)
        return place

    def add(self, place: int, at: datetime, value: float) -> None:
        """One more sample."""
        self.places.append(place)
        self.times.append(at)
        self.values.append(value)

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of them."""

    samples: int  # new ones
    late: int  # of these, behind the scoring watermark of their series
    series_ids: tuple[int, ...]  # whose samples are new, and which are to be scored


class SeriesGone(Exception):
    """A remembered series was deleted meanwhile."""

    def __init__(self, keys: Sequence[SeriesKey]) -> None:
        super().__init__(f"{len(keys)} series")
        self.keys = keys


def store(session: Session, new: NewSamples, ids: Mapping[SeriesKey, int]) -> tuple[Stored, dict[SeriesKey, int]]:
    """Store the samples; of several at one time the first counts.  `ids` are the series that are known already.

    Returns the ids of all series too, to be remembered after the commit.  Raises SeriesGone when one of `ids`
    is no longer there; then the transaction is to be begun again without it.
    """
    used = {new.keys[place] for place in set(new.places)}
    all_ids = {key: ids[key] for key in used if key in ids}
    unknown = sorted((key for key in used if key not in ids), key=lambda key: (key.metric_name, key.labels))
    made = series.ensure(session, unknown)
    all_ids |= made
    newest: dict[int, datetime] = {}
    id_of_place = [all_ids.get(key, 0) for key in new.keys]
    series_ids = [id_of_place[place] for place in new.places]
    for series_id, at in zip(series_ids, new.times, strict=True):
        known = newest.get(series_id)
        if known is None or at > known:
            newest[series_id] = at
    if made:
        _begin_progress(session, sorted(made.values()), newest)
    advanced = _advance(session, newest)
    if len(advanced) < len(newest):
        raise SeriesGone([key for key, series_id in all_ids.items() if series_id not in advanced])
    rows = session.execute(_INSERT, {"ids": series_ids, "times": new.times, "values": new.values}).all()
    late = {row.series_id: row.late for row in rows if row.late}
    if late:
        session.execute(_COUNT_LATE, {"ids": list(late), "late": list(late.values())})
    return (
        Stored(
            samples=sum(row.stored for row in rows),
            late=sum(late.values()),
            series_ids=tuple(sorted(row.series_id for row in rows if row.stored > row.late)),
        ),
        all_ids,
    )


# The row is locked before a sample is written, so commits of one series are serial, and scoring, which
# locks the same row, sees all samples up to a time or none. The order keeps two requests from a deadlock.
_ADVANCE = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT series_id FROM series_progress WHERE series_id = ANY(CAST(:ids AS bigint[]))
        ORDER BY series_id FOR NO KEY UPDATE
    )
    UPDATE series_progress AS progress SET newest_at = GREATEST(progress.newest_at, given.newest_at)
    FROM locked
    JOIN unnest(CAST(:ids AS bigint[]), CAST(:newest AS timestamptz[])) AS given (series_id, newest_at)
        ON given.series_id = locked.series_id
    WHERE progress.series_id = locked.series_id
    RETURNING progress.series_id
    """
)
_BEGIN = text(
    """
    INSERT INTO series_progress (series_id, newest_at)
    SELECT series_id, newest_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:newest AS timestamptz[])) AS given (series_id, newest_at)
    ORDER BY series_id
    ON CONFLICT (series_id) DO NOTHING
    """
)
_INSERT = text(
    """
    WITH stored AS (
        INSERT INTO samples (series_id, timestamp, value)
        SELECT series_id, at, value
        FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[]), CAST(:values AS float8[]))
            AS given (series_id, at, value)
        ON CONFLICT DO NOTHING
        RETURNING series_id, timestamp
    )
    SELECT stored.series_id, count(*) AS stored,
        count(*) FILTER (WHERE stored.timestamp <= progress.scored_until) AS late
    FROM stored JOIN series_progress AS progress ON progress.series_id = stored.series_id
    GROUP BY stored.series_id
    """
)
_COUNT_LATE = text(
    """
    UPDATE series_progress AS progress SET late_samples = progress.late_samples + given.late
    FROM unnest(CAST(:ids AS bigint[]), CAST(:late AS bigint[])) AS given (series_id, late)
    WHERE progress.series_id = given.series_id
    """
)


def _begin_progress(session: Session, ids: list[int], newest: Mapping[int, datetime]) -> None:
    session.execute(_BEGIN, {"ids": ids, "newest": [newest[series_id] for series_id in ids]})


def _advance(session: Session, newest: Mapping[int, datetime]) -> set[int]:
    rows = session.scalars(_ADVANCE, {"ids": list(newest), "newest": list(newest.values())})
    return set(rows)


def partition_is_missing(error: IntegrityError) -> bool:
    """Whether a sample had no partition to go to: nobody kept house for weeks."""
    return getattr(error.orig, "sqlstate", None) == _NO_PARTITION


def make_partitions(database: Database, *, retention_days: int) -> None:
    """What the daily upkeep would have done."""
    with database.transaction() as session:
        partitions.make(session, sample_days=retention_days)


__all__ = ["KnownSeries", "NewSamples", "SeriesGone", "Stored", "make_partitions", "partition_is_missing", "store"]
