"""Stores samples in bulk, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import IntegrityError

from db import binary, direct
from db.direct import Within
from db.queries import arrivals, partitions, series
from db.queries.series import SeriesKey
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


def store(within: Within, new: NewSamples, ids: Mapping[SeriesKey, int]) -> tuple[int, dict[SeriesKey, int]]:
    """Store the samples; of several at one time the first counts.  `ids` are the series that are known already.

    Returns how many are new, and the ids of the other series, to be remembered after the commit. The transaction
    must hold the series (`series.hold`), so that none of `ids` goes meanwhile.
    """
    unknown = sorted((key for key in new.keys if key not in ids), key=lambda key: (key.metric_name, key.labels))
    made = series.ensure(within, unknown)
    if made:
        _begin(within, new, made)
        direct.execute_all(within, f"SAVEPOINT {series.BEFORE_SAMPLES}")
    id_of_place = [ids.get(key) or made[key] for key in new.keys]
    series_ids = map(id_of_place.__getitem__, new.places)
    # In one order, or two requests with the same samples could wait for each other; of one time the first stays first.
    in_order = sorted(zip(series_ids, new.times, range(len(new)), new.values, strict=True))
    stored_ids, stored_times = _insert(within, in_order)
    arrivals.add(within, stored_ids, stored_times)
    return len(stored_ids), made


def _begin(within: Within, new: NewSamples, made: Mapping[SeriesKey, int]) -> None:
    newest = {made[new.keys[place]]: at for place, at in new.newest().items() if new.keys[place] in made}
    direct.execute(within, _BEGIN, {"ids": direct.array(newest), "newest": direct.array(newest.values())})


def _insert(within: Within, in_order: Sequence[tuple[int, int, int, float]]) -> tuple[Sequence[int], Sequence[int]]:
    """Series and time of each sample that was not there."""
    series_ids, times, _, values = zip(*in_order, strict=True)
    try:
        direct.copy(within, _COPY, binary.rows("qqd", series_ids, binary.moments(times), values))
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != direct.DUPLICATE:
            raise
    else:
        return series_ids, times
    # Some were there already: a sender that got no answer sends again. This way takes twice as long, and is rare.
    direct.execute_all(within, f"ROLLBACK TO SAVEPOINT {series.BEFORE_SAMPLES}")
    given = {"ids": series_ids, "times": times, "values": values}
    rows = direct.execute(within, _INSERT, {name: direct.array(numbers) for name, numbers in given.items()}).fetchall()
    return [series_id for series_id, _ in rows], [at for _, at in rows]


_MICROSECOND = "interval '1 microsecond'"
_BEGIN = f"""
    INSERT INTO series_progress (series_id, newest_at)
    SELECT series_id, timestamptz 'epoch' + newest_at * {_MICROSECOND}
    FROM unnest(%(ids)s::bigint[], %(newest)s::bigint[]) AS given (series_id, newest_at)
    ORDER BY series_id
    ON CONFLICT (series_id) DO NOTHING
    """  # noqa: S608 (only constants of this module are put together)
_COPY = "COPY samples (series_id, timestamp, value) FROM STDIN (FORMAT binary)"
_INSERT = f"""
    INSERT INTO samples (series_id, timestamp, value)
    SELECT series_id, timestamptz 'epoch' + at * {_MICROSECOND}, value
    FROM unnest(%(ids)s::bigint[], %(times)s::bigint[], %(values)s::float8[]) AS given (series_id, at, value)
    ON CONFLICT DO NOTHING
    RETURNING series_id, (extract(epoch FROM timestamp) * 1000000)::bigint
    """  # noqa: S608 (only constants of this module are put together)


def partition_is_missing(error: IntegrityError) -> bool:
    """Whether a sample had no partition to go to: nobody kept house for weeks."""
    return getattr(error.orig, "sqlstate", None) == _NO_PARTITION


def make_partitions(database: Database, *, retention_days: int) -> None:
    """What the daily upkeep would have done."""
    with database.transaction() as session:
        partitions.make(session, sample_days=retention_days)
