"""A list by pages: what the query says of the page, and how the page is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from sensus import times
from sensus.errors import Invalid
from web import pages

T = TypeVar("T")


def before_id(query: Mapping[str, Any]) -> int | None:
    """The id that the last page ended with; None for the first page.  Raises Invalid."""
    cursor = query.get("cursor")
    return None if cursor is None else cast(int, pages.decode(cursor, int)[0])


def before_moment(query: Mapping[str, Any]) -> tuple[datetime, int] | None:
    """The time and id that the last page ended with; None for the first page.  Raises Invalid."""
    cursor = query.get("cursor")
    if cursor is None:
        return None
    at, row_id = pages.decode(cursor, str, int)
    return _moment(at), cast(int, row_id)


def after_moment(query: Mapping[str, Any]) -> datetime | None:
    """The time that the last page ended with; None for the first page.  Raises Invalid."""
    cursor = query.get("cursor")
    return None if cursor is None else _moment(pages.decode(cursor, str)[0])


def answer(rows: Sequence[T], limit: int, key: Callable[[T], tuple[int | datetime, ...]]) -> dict[str, Any]:
    """The page, of rows that were read with one more than `limit`: the extra one only says that there are more."""
    page = rows[:limit]
    return {"items": page, "next_cursor": next_cursor(rows, limit, key)}


def next_cursor(rows: Sequence[T], limit: int, key: Callable[[T], tuple[int | datetime, ...]]) -> str | None:
    """Where the next page begins; None when this is the last one."""
    if len(rows) <= limit:
        return None
    return pages.encode(
        *(times.isoformat(part) if isinstance(part, datetime) else part for part in key(rows[limit - 1]))
    )


def _moment(text: object) -> datetime:
    try:
        return times.parse(text)
    except times.BadTime:
        raise Invalid(
            "the cursor is none of ours", {"cursor": "take `next_cursor` of the page before, unchanged"}
        ) from None
