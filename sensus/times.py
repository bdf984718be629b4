"""Reading and writing times: aware UTC datetimes inside, ISO 8601 or Unix seconds outside."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Alertmanager has no way to leave a time out: this is its zero.
NONE = datetime.min.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SURPLUS_FRACTION = re.compile(r"(\.\d{6})\d+")
_MAX_EPOCH_S = 253_402_300_799.0  # 9999-12-31T23:59:59Z, the last second a datetime can hold

_LONGEST = 64


class BadTime(ValueError):
    """The text or number is not a time that can be stored."""


def parse(value: object) -> datetime:
    """An aware UTC time, to the microsecond, from ISO 8601 text or Unix seconds.

    A time without an offset is UTC.  Raises BadTime.
    """
    if isinstance(value, str):
        return _from_text(_short(value))
    return from_microseconds(parse_microseconds(value))


def parse_microseconds(value: object) -> int:
    """The same time as `parse`, as whole microseconds after 1970: what bulk data is counted in.  Raises BadTime."""
    if isinstance(value, bool):
        raise BadTime("a time is ISO 8601 text or Unix seconds, not a boolean")
    if isinstance(value, int | float):
        return _microseconds(float(value))
    if isinstance(value, str):
        return to_microseconds(_from_text(_short(value)))
    raise BadTime("a time is ISO 8601 text or Unix seconds")


def to_microseconds(at: datetime) -> int:
    """Whole microseconds after 1970."""
    return (at - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The time so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


def to_epoch(at: datetime) -> float:
    """Unix seconds.  One value for one time: integer microseconds, divided once."""
    return to_microseconds(at) / 1_000_000


def isoformat(at: datetime) -> str:
    """ISO 8601 in UTC with a Z, as Prometheus and Alertmanager write it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)


def _microseconds(seconds: float) -> int:
    if not 0 <= seconds <= _MAX_EPOCH_S:  # which a NaN is not either
        raise BadTime("Unix seconds must lie between 1970 and 9999")
    # Split before it is multiplied: the product alone would cost the last microsecond after the year 2106.
    fraction, whole = math.modf(seconds)
    return int(whole) * 1_000_000 + round(fraction * 1_000_000)


def _short(text: str) -> str:
    stripped = text.strip()
    # What is read is remembered, so a caller must not choose how much.
    if len(stripped) > _LONGEST:
        raise BadTime(f"a time has at most {_LONGEST} characters")
    return stripped


# The alerts of one webhook began together, and end at the same zero.
@lru_cache(maxsize=1024)
def _from_text(text: str) -> datetime:
    # Alertmanager sends nanoseconds, which a datetime refuses.
    try:
        at = datetime.fromisoformat(_SURPLUS_FRACTION.sub(r"\1", text))
    except ValueError:
        try:
            seconds = float(text)
        except ValueError:
            raise BadTime("not a time: write ISO 8601 such as 2026-01-31T12:00:00Z, or Unix seconds") from None
        return from_microseconds(_microseconds(seconds))
    try:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise BadTime("a time must lie between the years 1 and 9999") from None
    return at
