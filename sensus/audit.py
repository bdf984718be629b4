"""The audit streams in Redis: what was accepted, and who did what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from sensus import times

if TYPE_CHECKING:
    import redis

Stream = Literal["metrics:raw", "audit:access"]
RAW: Stream = "metrics:raw"
ACCESS: Stream = "audit:access"
KEPT_ENTRIES = 10_000
# Written in the same MULTI as the entries: so the work of a relay that died after EXEC is recognised.
_LAST_BATCH = "sensus:audit:last_batch:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an audit stream.  `data` is JSON: counts and ids, never a payload or a secret."""

    stream: Stream
    type: str
    data: str
    at: datetime
    request_id: str
    actor: str

    def fields(self) -> dict[str, str]:
        """The entry as Redis keeps it."""
        return {
            "type": self.type,
            "data": self.data,
            "ts": f"{times.to_epoch(self.at):.6f}",
            "request_id": self.request_id,
            "actor": self.actor,
        }


def append_batch(client: redis.Redis, installation: str, batch: int, entries: Sequence[Entry]) -> None:
    """Append the entries in order, all or none, once: a batch number not above the last one is ignored.

    Numbers are those of one `installation`, so a new database beside an old Redis starts afresh.

    Only one caller at a time may hold the right to append; the database's lock sees to that.
    """
    last = client.get(_LAST_BATCH + installation)
    if last is not None and int(last) >= batch:
        return
    with client.pipeline(transaction=True) as pipe:
        for entry in entries:
            pipe.xadd(entry.stream, cast(Any, entry.fields()), maxlen=KEPT_ENTRIES, approximate=True)
        pipe.set(_LAST_BATCH + installation, batch)
        pipe.execute()


def tail(client: redis.Redis, stream: Stream, *, count: int, follow: bool) -> Iterator[dict[str, str]]:
    """The newest entries of a stream, oldest first; with `follow`, then each new one as it comes."""
    newest = cast("list[tuple[str, dict[str, str]]]", client.xrevrange(stream, count=count))
    position = "0-0"
    for position, fields in reversed(newest):
        yield {"id": position, **fields}
    while follow:
        for _, entries in cast("list[Any]", client.xread({stream: position}, block=1000, count=100) or []):
            for position, fields in entries:
                yield {"id": position, **fields}
