"""Which samples can be stored, whichever door they come by: how a series is named, and how old a sample may be."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Self

from db.queries.series import REMEMBERED, SeriesKey
from sensus import times
from sensus.storable import METRIC_NAME_CHARACTERS, NotStorable, check_pairs

AHEAD = timedelta(minutes=10)
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The times that are kept, in microseconds after 1970; both ends are in it."""

    oldest: int
    newest: int

    @classmethod
    def at(cls, received_at: datetime, *, retention_days: int) -> Self:
        """Of a request that came then."""
        return cls(
            times.to_microseconds(received_at - timedelta(days=retention_days)),
            times.to_microseconds(received_at + AHEAD),
        )

    def check(self, at: int) -> None:
        """Raises NotStorable unless a sample of this time can be kept."""
        if at < self.oldest:
            told = times.isoformat(times.from_microseconds(self.oldest))
            raise NotStorable("too_old", "timestamp", f"older than {told}, which is not kept")
        if at > self.newest:
            raise NotStorable("too_far_ahead", "timestamp", "more than 10 minutes ahead of the server's clock")


# A sender comes again with the same series; what is fine once is fine for ever.
@lru_cache(maxsize=REMEMBERED)
def series_key(name: str, pairs: Pairs) -> SeriesKey:
    """The series of this name with these labels, in any order.  Raises NotStorable."""
    # The names and values of labels recur from series to series.
    return checked_key(sys.intern(name), tuple((sys.intern(label), sys.intern(value)) for label, value in pairs))


def checked_key(name: str, pairs: Pairs) -> SeriesKey:
    """The same, for callers that remember it themselves."""
    # Any text is a name, as in Prometheus 3: dotted names of other senders are none the worse.
    if not name.strip() or len(name) > METRIC_NAME_CHARACTERS or "\0" in name:
        raise NotStorable(
            "invalid", "metric_name", f"must have 1 to {METRIC_NAME_CHARACTERS} characters and contain no NUL"
        )
    labels = dict(pairs)
    if len(labels) < len(pairs):
        raise NotStorable("invalid", "labels", "has a name twice")
    try:
        check_pairs(labels, "labels")
    except NotStorable as error:
        raise NotStorable("invalid", error.field, str(error)) from None
    # A label without a value is none, as in Prometheus.
    return SeriesKey(name, tuple(sorted(pair for pair in pairs if pair[1])))
