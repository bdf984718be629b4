"""Which samples came in and are not noted in the progress of their series?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db import direct
from db.direct import Bigints, Within

# Requests with at most ten thousand samples each: so many are noted well within the time of a statement.
PORTION = 50

Transaction = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Noted:
    """What a portion changed."""

    requests: int
    late: int  # samples that are stored behind the watermark of their series, and will not be scored
    series_ids: tuple[int, ...]  # that have samples to be scored now


def add(within: Within, series_ids: Sequence[int], times: Sequence[int]) -> None:
    """Leave a note of samples that are stored in this transaction: of each its series and its time."""
    if series_ids:
        direct.execute(within, _ADD, {"ids": Bigints.of(series_ids), "times": Bigints.of(times)})


def note(within: Within, *, portion: int = PORTION) -> Noted:
    """Move the progress of the series on by a portion of the notes that nobody is at, the oldest first."""
    # Should the machine fail before this is on its disk, it is done again. Senders would wait for the disk longer.
    direct.execute_all(within, "SET LOCAL synchronous_commit = off")
    taken = direct.execute(within, _TAKE, {"portion": portion}).fetchone()
    if taken is None or not taken[0]:
        return Noted(0, 0, ())
    # What a scorer committed while this one waited for its rows is seen by a new statement only.
    moved = direct.execute(within, _NOTE, {"taken": taken[0]}).fetchall()
    return Noted(
        requests=len(taken[0]),
        late=sum(late for _, late, _ in moved),
        series_ids=tuple(sorted(series_id for series_id, _, is_unscored in moved if is_unscored)),
    )


def all_notes(transaction: Transaction) -> Noted:
    """The same for all that is there now, each portion in a transaction of its own.

    Rows are locked in order within a portion only, so two that held several would wait for each other for ever.
    """
    requests, late, series_ids = 0, 0, set[int]()
    while True:
        with transaction() as session:
            noted = note(session)
        requests, late, series_ids = requests + noted.requests, late + noted.late, series_ids | set(noted.series_ids)
        if noted.requests < PORTION:
            return Noted(requests, late, tuple(sorted(series_ids)))


_ADD = """
    INSERT INTO sample_arrivals (series_ids, times) VALUES (%(ids)s, %(times)s)
    """
# In the order of ids, as scorers lock them: two that lock in different orders wait for each other for ever.
_TAKE = """
    WITH taken AS MATERIALIZED (
        SELECT id, series_ids FROM sample_arrivals ORDER BY id LIMIT %(portion)s FOR UPDATE SKIP LOCKED
    ), locked AS MATERIALIZED (
        SELECT series_id FROM series_progress
        WHERE series_id IN (SELECT unnest(series_ids) FROM taken)
        ORDER BY series_id FOR NO KEY UPDATE
    )
    SELECT (SELECT array_agg(id) FROM taken), (SELECT count(*) FROM locked)
    """
# A sample at or before the watermark is late, unless it was seen and scored before it was noted. Few series have such,
# and only theirs are looked at one by one.
_NOTE = """
    WITH taken AS (
        DELETE FROM sample_arrivals WHERE id = ANY(%(taken)s) RETURNING series_ids, times, stored_at
    ), came AS MATERIALIZED (
        SELECT series_id, at, stored_at FROM taken, unnest(series_ids, times) AS sample (series_id, at)
    ), bounds AS MATERIALIZED (
        SELECT series_id, min(at) AS oldest, timestamptz 'epoch' + max(at) * interval '1 microsecond' AS newest_at,
            min(stored_at) AS stored_at
        FROM came GROUP BY series_id
    ), behind AS MATERIALIZED (
        SELECT series_id, scored_until FROM bounds JOIN series_progress USING (series_id)
        WHERE timestamptz 'epoch' + oldest * interval '1 microsecond' <= scored_until
    ), late AS (
        SELECT series_id, count(*) AS samples
        FROM behind JOIN came USING (series_id)
        CROSS JOIN LATERAL (SELECT timestamptz 'epoch' + at * interval '1 microsecond' AS moment) AS told
        WHERE moment <= scored_until AND NOT EXISTS (
            SELECT FROM scores WHERE scores.series_id = behind.series_id AND scores.timestamp = moment
        )
        GROUP BY series_id
    )
    UPDATE series_progress AS progress SET
        newest_at = GREATEST(progress.newest_at, bounds.newest_at),
        unscored_since = CASE WHEN progress.newest_at <= progress.scored_until THEN bounds.stored_at
            ELSE progress.unscored_since END,
        late_samples = progress.late_samples + COALESCE(late.samples, 0)
    FROM bounds LEFT JOIN late USING (series_id)
    WHERE progress.series_id = bounds.series_id
    RETURNING progress.series_id, COALESCE(late.samples, 0),
        progress.scored_until IS NULL OR progress.newest_at > progress.scored_until
    """
