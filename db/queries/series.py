"""Which series is this?  Name and labels to an id, remembered in the process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy.orm import Session

from db import direct

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
    """The ids of series that were seen lately.  An id may be out of date: retention deletes series."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._ids: dict[SeriesKey, int] = {}

    def get(self, keys: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
        """The known ones."""
        known = self._ids
        return {key: id_ for key in keys if (id_ := known.get(key)) is not None}

    def remember(self, ids: Mapping[SeriesKey, int]) -> None:
        """To be called after the commit: an id of a transaction that failed belongs to nobody."""
        with self._lock:
            self._ids.update(ids)
            if len(self._ids) > self._most:
                # The older half goes at once; what of it is still in use costs one look-up to know again.
                self._ids = dict(list(self._ids.items())[-self._most // 2 :])

    def forget(self, keys: Iterable[SeriesKey]) -> None:
        """These must be looked up again."""
        with self._lock:
            for key in keys:
                self._ids.pop(key, None)


# Sorted by digest, so that two requests with the same new series wait for each other in one order.
_INSERT = """
    INSERT INTO series (metric_name, labels, digest)
    SELECT metric_name, labels::jsonb, digest
    FROM unnest(%(names)s::text[], %(labels)s::text[], %(digests)s::bytea[]) AS new (metric_name, labels, digest)
    ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
    """
# The lock keeps retention from deleting a series between here and its first sample.
_SELECT = "SELECT id, digest FROM series WHERE digest = ANY(%(digests)s::bytea[]) ORDER BY id FOR KEY SHARE"


def find(session: Session, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The ids of those of these series that are there."""
    by_digest = {key.digest(): key for key in keys}
    rows = direct.execute(session, _SELECT, {"digests": list(by_digest)})
    return {by_digest[bytes(digest)]: id_ for id_, digest in rows}


def ensure(session: Session, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The ids of these series, each made if need be."""
    by_digest = {key.digest(): key for key in keys}
    if not by_digest:
        return {}
    digests = list(by_digest)
    names = [key.metric_name for key in by_digest.values()]
    labels = [msgspec.json.encode(dict(key.labels)).decode() for key in by_digest.values()]
    direct.execute(session, _INSERT, {"names": names, "labels": labels, "digests": digests})
    rows = direct.execute(session, _SELECT, {"digests": digests})
    return {by_digest[bytes(digest)]: id_ for id_, digest in rows}
