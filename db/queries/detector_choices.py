"""Which detector scores which series?  The one of the settings, unless somebody chose another for a selector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, select, text
from sqlalchemy.orm import Session

from db.models.detection import DetectorChoice
from db.models.sample import Series
from db.queries.labels import Matcher
from db.queries.series_reads import Selector, conditions, faults_told
from sensus.errors import NotFound

# Two that choose for the same selector at once take turns.
_CHOICE_LOCK = 0x53656E73_0010


@dataclass(frozen=True, slots=True)
class Choice:
    """Series that a selector means, and the detector that scores them."""

    id: int
    selector: Selector
    detector: str


def choose(session: Session, selector: Selector, detector: str, *, by: str) -> DetectorChoice:
    """Let this detector score the series of the selector from now on, in place of what was chosen for it before.

    Raises Invalid for a regular expression that cannot be used.
    """
    with faults_told():
        session.execute(select(Series.id).where(*conditions(selector)).limit(1))
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CHOICE_LOCK})
    matchers = [[one.name, one.operator, one.value] for one in sorted(selector.matchers, key=_in_order)]
    session.execute(
        delete(DetectorChoice).where(
            DetectorChoice.metric_name.is_not_distinct_from(selector.metric_name), DetectorChoice.matchers == matchers
        )
    )
    chosen = DetectorChoice(metric_name=selector.metric_name, matchers=matchers, detector=detector, created_by=by)
    session.add(chosen)
    session.flush()
    session.refresh(chosen)
    return chosen


def withdraw(session: Session, choice_id: int) -> DetectorChoice:
    """Forget a choice; what it was.  Raises NotFound."""
    chosen = session.get(DetectorChoice, choice_id, with_for_update=True)
    if chosen is None:
        raise NotFound(f"there is no choice of a detector {choice_id}")
    session.delete(chosen)
    return chosen


def newest_first(session: Session, *, limit: int, before_id: int | None = None) -> list[DetectorChoice]:
    """Up to `limit` choices, newest first, older than `before_id`."""
    return list(session.scalars(newest_first_query(limit=limit, before_id=before_id)))


def newest_first_query(*, limit: int, before_id: int | None = None) -> Select[DetectorChoice]:
    """The statement behind `newest_first`, so that its plan can be looked at."""
    query = select(DetectorChoice).order_by(DetectorChoice.id.desc()).limit(limit)
    return query if before_id is None else query.where(DetectorChoice.id < before_id)


def every(session: Session) -> tuple[Choice, ...]:
    """All choices, oldest first."""
    rows = session.scalars(select(DetectorChoice).order_by(DetectorChoice.id))
    return tuple(Choice(row.id, selector_of(row), row.detector) for row in rows)


def detectors_of(session: Session, choices: Sequence[Choice], series_ids: Sequence[int]) -> dict[int, str]:
    """Of each of these series that a choice means, its detector: that of the newest such choice."""
    found: dict[int, str] = {}
    for choice in choices:
        ids = session.scalars(select(Series.id).where(Series.id.in_(series_ids), *conditions(choice.selector)))
        found |= dict.fromkeys(ids, choice.detector)
    return found


def in_use(session: Session) -> frozenset[str]:
    """Detectors that somebody chose for some series."""
    return frozenset(session.scalars(select(func.distinct(DetectorChoice.detector))))


def selector_of(row: DetectorChoice) -> Selector:
    """The selector of a choice."""
    return Selector(row.metric_name, tuple(Matcher(*parts) for parts in row.matchers))


def _in_order(matcher: Matcher) -> tuple[str, str, str]:
    return matcher.name, matcher.operator, matcher.value
