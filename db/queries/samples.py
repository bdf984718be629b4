"""Stores samples in bulk: once each, in the right order of locks, and counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import direct
from db.queries import partitions, series
from db.queries.series import KnownSeries, SeriesKey
from db.session import Database

_NO_PARTITION = "23514"


@dataclass(slots=True)
class NewSamples:
    """Samples column by column; `places` says to which of `keys` each belongs."""

    keys: list[SeriesKey] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # whole microseconds after 1970
    values: list[float] = field(default_factory=list)
    _known: dict[SeriesKey, int] = field(default_factory=dict)

    def place_of(self, key: SeriesKey) -> int:
        """The place of a series, which is added when it is new here."""
        place = self._known.get(key)
        if place is None:
            place = self._known[key] = len(self.keys)
            self.keys.append(key)
        return place

    def add(self, place: int, at: int, value: float) -> None:
        """One more sample."""
        self.places.append(place)
        self.times.append(at)
        self.values.append(value)

    def newest(self) -> dict[int, int]:
        """The newest time of each place that has samples."""
        found: dict[int, int] = {}
        for place, at in zip(self.places, self.times, strict=True):
            known = found.get(place)
            if known is None or at > known:
                found[place] = at
        return found

    def without(self, keys: Collection[SeriesKey]) -> tuple[NewSamples, list[int]]:
        """The samples of all other series, and which ones are left out."""
        kept, left_out = NewSamples(), []
        for number, (place, at, value) in enumerate(zip(self.places, self.times, self.values, strict=True)):
            key = self.keys[place]
            if key in keys:
                left_out.append(number)
            else:
                kept.add(kept.place_of(key), at, value)
        return kept, left_out

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

    Returns the ids of the other series too, to be remembered after the commit.  Raises SeriesGone when one of
    `ids` is no longer there; then the transaction is to be begun again without it.
    """
    newest = new.newest()
    used = [new.keys[place] for place in newest]
    unknown = sorted((key for key in used if key not in ids), key=lambda key: (key.metric_name, key.labels))
    made = series.ensure(session, unknown)
    id_of_place = [ids.get(key) or made.get(key, 0) for key in new.keys]
    if made:
        begun = [(id_of_place[place], at) for place, at in newest.items() if new.keys[place] in made]
        direct.execute(
            session, _BEGIN, {"ids": _array(id_ for id_, _ in begun), "newest": _array(at for _, at in begun)}
        )
    moved = {"ids": _array(id_of_place[place] for place in newest), "newest": _array(newest.values())}
    if direct.execute(session, _ADVANCE, moved).rowcount < len(newest):
        there = {id_ for (id_,) in direct.execute(session, _THERE, moved)}
        raise SeriesGone([key for key in used if ids.get(key, 0) not in there])
    rows = direct.execute(
        session,
        _INSERT,
        {
            "ids": _array(map(id_of_place.__getitem__, new.places)),
            "times": _array(new.times),
            "values": _array(new.values),
        },
    ).fetchall()
    late = {series_id: late for series_id, _, late in rows if late}
    if late:
        direct.execute(session, _COUNT_LATE, {"ids": _array(late), "late": _array(late.values())})
    return (
        Stored(
            samples=sum(stored for _, stored, _ in rows),
            late=sum(late.values()),
            series_ids=tuple(sorted(series_id for series_id, stored, late in rows if stored > late)),
        ),
        made,
    )


def _array(numbers: Iterable[float]) -> str:
    """The text of an array of numbers: `repr` is exact, and quicker than what psycopg does for each element."""
    return "{" + ",".join(map(repr, numbers)) + "}"


# The row is locked before a sample is written, so commits of one series are serial, and scoring, which
# locks the same row, sees all samples up to a time or none. The order keeps two requests from a deadlock.
_MICROSECOND = "interval '1 microsecond'"
_ADVANCE = f"""
    WITH locked AS MATERIALIZED (
        SELECT series_id FROM series_progress WHERE series_id = ANY(%(ids)s::bigint[])
        ORDER BY series_id FOR NO KEY UPDATE
    )
    UPDATE series_progress AS progress
    SET newest_at = GREATEST(progress.newest_at, timestamptz 'epoch' + given.newest_at * {_MICROSECOND})
    FROM locked
    JOIN unnest(%(ids)s::bigint[], %(newest)s::bigint[]) AS given (series_id, newest_at)
        ON given.series_id = locked.series_id
    WHERE progress.series_id = locked.series_id
    """  # noqa: S608 (only constants of this module are put together)
_THERE = "SELECT series_id FROM series_progress WHERE series_id = ANY(%(ids)s::bigint[])"
_BEGIN = f"""
    INSERT INTO series_progress (series_id, newest_at)
    SELECT series_id, timestamptz 'epoch' + newest_at * {_MICROSECOND}
    FROM unnest(%(ids)s::bigint[], %(newest)s::bigint[]) AS given (series_id, newest_at)
    ORDER BY series_id
    ON CONFLICT (series_id) DO NOTHING
    """  # noqa: S608 (only constants of this module are put together)
_INSERT = f"""
    WITH stored AS (
        INSERT INTO samples (series_id, timestamp, value)
        SELECT series_id, timestamptz 'epoch' + at * {_MICROSECOND}, value
        FROM unnest(%(ids)s::bigint[], %(times)s::bigint[], %(values)s::float8[]) AS given (series_id, at, value)
        ON CONFLICT DO NOTHING
        RETURNING series_id, timestamp
    )
    SELECT stored.series_id, count(*),
        count(*) FILTER (WHERE stored.timestamp <= progress.scored_until)
    FROM stored JOIN series_progress AS progress ON progress.series_id = stored.series_id
    GROUP BY stored.series_id
    """  # noqa: S608 (only constants of this module are put together)
_COUNT_LATE = """
    UPDATE series_progress AS progress SET late_samples = progress.late_samples + given.late
    FROM unnest(%(ids)s::bigint[], %(late)s::bigint[]) AS given (series_id, late)
    WHERE progress.series_id = given.series_id
    """


def partition_is_missing(error: IntegrityError) -> bool:
    """Whether a sample had no partition to go to: nobody kept house for weeks."""
    return getattr(error.orig, "sqlstate", None) == _NO_PARTITION


def make_partitions(database: Database, *, retention_days: int) -> None:
    """What the daily upkeep would have done."""
    with database.transaction() as session:
        partitions.make(session, sample_days=retention_days)


__all__ = ["KnownSeries", "NewSamples", "SeriesGone", "Stored", "make_partitions", "partition_is_missing", "store"]
