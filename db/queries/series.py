"""Which series is this?  Name and labels to an id, remembered in the process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy.orm import Session

from db import direct
from db.direct import Within

REMEMBERED = 100_000


class SeriesKey(msgspec.Struct, frozen=True, cache_hash=True):
    """What a series is known by."""

    metric_name: str
    labels: tuple[tuple[str, str], ...]  # sorted by name

    def digest(self) -> bytes:
        """SHA-256 over name and labels; each part stands with its length, so no two keys read alike."""
        parts = [self.metric_name, *(part for pair in self.labels for part in pair)]
        return hashlib.sha256(msgspec.json.encode(parts)).digest()


class KnownSeries:
    """The ids of series that were seen lately.  They hold for one epoch: a deletion of series begins another."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._epoch = -1
        self._ids: dict[SeriesKey, int] = {}

    def get(self, keys: Iterable[SeriesKey], *, epoch: int) -> dict[SeriesKey, int]:
        """The known ones, to a transaction that holds the series of this epoch."""
        if epoch != self._epoch:
            with self._lock:
                self._epoch, self._ids = epoch, {}
        known = self._ids
        return {key: id_ for key in keys if (id_ := known.get(key)) is not None}

    def remember(self, ids: Mapping[SeriesKey, int], *, epoch: int) -> None:
        """To be called after the commit: an id of a transaction that failed belongs to nobody."""
        with self._lock:
            if epoch != self._epoch:
                return
            self._ids.update(ids)
            if len(self._ids) > self._most:
                # The older half goes at once; what of it is still in use costs one look-up to know again.
                self._ids = dict(list(self._ids.items())[-self._most // 2 :])


BEFORE_SAMPLES = "before_samples"
# Held in common by all who store samples, and alone by who deletes series. A lock of the rows would be written to
# each of them, and cost as much as their samples.
_DELETION_LOCK = 0x53656E73_0005
_HOLD = (
    f"SELECT pg_advisory_xact_lock_shared({_DELETION_LOCK}); SELECT series_epoch FROM installation; "  # noqa: S608
    f"SAVEPOINT {BEFORE_SAMPLES}"
)
_BEGIN_EPOCH = "UPDATE installation SET series_epoch = series_epoch + 1"
_HOLD_ALONE = f"SELECT pg_advisory_xact_lock({_DELETION_LOCK}); {_BEGIN_EPOCH}"


def hold(within: Within) -> int:
    """Keep every series from being deleted until the transaction ends; the epoch of the series.

    Sets the savepoint that `samples.store` goes back to; all of it is one way there and back.
    """
    _, epoch, _ = direct.execute_all(within, _HOLD)
    return 0 if epoch is None else int(epoch[0])


def begin_epoch(session: Session) -> None:
    """Let nobody store samples until the transaction ends, and forget afterwards which series there were."""
    direct.execute_all(session, _HOLD_ALONE)


# Sorted by digest, so that two requests with the same new series wait for each other in one order.
_INSERT = """
    INSERT INTO series (metric_name, labels, digest)
    SELECT metric_name, labels::jsonb, digest
    FROM unnest(%(names)s::text[], %(labels)s::text[], %(digests)s::bytea[]) AS new (metric_name, labels, digest)
    ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
    """
_SELECT = "SELECT id, digest FROM series WHERE digest = ANY(%(digests)s::bytea[])"


_THERE = """
    SELECT name FROM unnest(%(names)s::text[]) AS name WHERE EXISTS (SELECT FROM series WHERE metric_name = name)
    """


def find(within: Within, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The ids of those of these series that are there."""
    by_digest = {key.digest(): key for key in keys}
    rows = direct.execute(within, _SELECT, {"digests": list(by_digest)})
    return {by_digest[bytes(digest)]: id_ for id_, digest in rows}


def names_there(within: Within, names: Collection[str]) -> frozenset[str]:
    """Those of these names of which there are series."""
    return frozenset(name for (name,) in direct.execute(within, _THERE, {"names": sorted(names)}))


def ensure(within: Within, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The ids of these series, each made if need be."""
    by_digest = {key.digest(): key for key in keys}
    if not by_digest:
        return {}
    digests = list(by_digest)
    names = [key.metric_name for key in by_digest.values()]
    labels = [msgspec.json.encode(dict(key.labels)).decode() for key in by_digest.values()]
    direct.execute(within, _INSERT, {"names": names, "labels": labels, "digests": digests})
    rows = direct.execute(within, _SELECT, {"digests": digests})
    return {by_digest[bytes(digest)]: id_ for id_, digest in rows}
