"""Which changes were made before an incident, and what do they contain?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.queries.evidence import CHANGES_AFTER, CHANGES_BEFORE

_LOOKED_AT = 2_000


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """A change without what it contains."""

    id: int
    kind: str
    title: str
    labels: Mapping[str, str]
    at: datetime
    url: str | None
    revision: str | None
    commits: int


_BEFORE = text(
    """
    SELECT id, kind, title, labels, at, url, details->>'revision',
        coalesce(jsonb_array_length(details->'commits'), 0)
    FROM change_events WHERE at BETWEEN :moment - :before AND :moment + :after ORDER BY at DESC, id DESC LIMIT :limit
    """
)
_COMMITS = text("SELECT id, details->'commits' AS commits FROM change_events WHERE id = ANY(:ids)")


def before(session: Session, moment: datetime) -> list[ChangeMade]:
    """The changes of the day before a moment, and those of the minutes after it since clocks differ; newest first."""
    given = {"moment": moment, "before": CHANGES_BEFORE, "after": CHANGES_AFTER, "limit": _LOOKED_AT}
    return [ChangeMade(*row) for row in session.execute(_BEFORE, given)]


def commits_of(session: Session, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """The commits [{id, message, files, diff}] of these changes, where they were told."""
    return {row.id: row.commits or [] for row in session.execute(_COMMITS, {"ids": list(ids)})}
