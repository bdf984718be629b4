"""Which series is this?  Name and labels to an id, remembered in the process."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

REMEMBERED = 200_000


@dataclass(frozen=True, slots=True)
class SeriesKey:
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
        self._ids: OrderedDict[SeriesKey, int] = OrderedDict()

    def get(self, keys: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
        """The known ones."""
        with self._lock:
            found = {key: self._ids[key] for key in keys if key in self._ids}
            for key in found:
                self._ids.move_to_end(key)
        return found

    def remember(self, ids: dict[SeriesKey, int]) -> None:
        """To be called after the commit: an id of a transaction that failed belongs to nobody."""
        with self._lock:
            self._ids.update(ids)
            while len(self._ids) > self._most:
                self._ids.popitem(last=False)

    def forget(self, keys: Iterable[SeriesKey]) -> None:
        """These must be looked up again."""
        with self._lock:
            for key in keys:
                self._ids.pop(key, None)


# Sorted by digest, so that two requests with the same new series wait for each other in one order.
_INSERT = text(
    """
    INSERT INTO series (metric_name, labels, digest)
    SELECT metric_name, CAST(labels AS jsonb), digest
    FROM unnest(CAST(:names AS text[]), CAST(:labels AS text[]), CAST(:digests AS bytea[]))
        AS new (metric_name, labels, digest)
    ORDER BY digest
    ON CONFLICT (digest) DO NOTHING
    """
)
# The lock keeps retention from deleting a series between here and its first sample.
_SELECT = text("SELECT id, digest FROM series WHERE digest = ANY(CAST(:digests AS bytea[])) ORDER BY id FOR KEY SHARE")


def ensure(session: Session, keys: Sequence[SeriesKey]) -> dict[SeriesKey, int]:
    """The ids of these series, each made if need be."""
    by_digest = {key.digest(): key for key in keys}
    if not by_digest:
        return {}
    session.execute(
        _INSERT,
        {
            "names": [key.metric_name for key in by_digest.values()],
            "labels": [msgspec.json.encode(dict(key.labels)).decode() for key in by_digest.values()],
            "digests": list(by_digest),
        },
    )
    rows = session.execute(_SELECT, {"digests": list(by_digest)})
    return {by_digest[bytes(row.digest)]: row.id for row in rows}
