"""Which weeks of samples and scores have a partition: made ahead, dropped when all of it is past retention."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Table, text
from sqlalchemy.orm import Session

from db.models.sample import samples, scores, shadow_scores
from sensus import times

WEEKS_AHEAD = 4
# A challenger is compared with the champion within a day; two weeks of its figures show how it came out.
SHADOW_DAYS = 14
TABLES = (samples, scores, shadow_scores)
_LOCK = 0x53656E73_0031
_NAME = re.compile(r"^(?:samples|scores|shadow_scores)_p(\d{8})$")


def make(session: Session, *, sample_days: int, now: datetime | None = None) -> list[str]:
    """Make each missing partition, from the oldest sample that is accepted to four weeks ahead.

    Returns the names of the new ones.
    """
    now = now or times.now()
    made: list[str] = []
    # Two that make the same would fail by each other.
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    for table in TABLES:
        there = {name for name, _ in existing(session, table)}
        for week in _weeks(now - timedelta(days=sample_days), now + timedelta(weeks=WEEKS_AHEAD)):
            name = f"{table.name}_p{week:%Y%m%d}"
            if name in there:
                continue
            # Names and bounds come from a date of ours, never from a caller.  Made by itself and then attached, because
            # PARTITION OF would wait for whoever reads the table, and all who store and read would wait behind it.
            session.execute(text(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)"))
            session.execute(
                text(
                    f"ALTER TABLE {table.name} ATTACH PARTITION {name} "
                    f"FOR VALUES FROM ('{week}T00:00:00Z') TO ('{week + timedelta(days=7)}T00:00:00Z')"
                )
            )
            made.append(name)
    return made


def drop(session: Session, *, sample_days: int, score_days: int, now: datetime | None = None) -> list[str]:
    """Drop each partition whose newest possible row is past the retention of samples; their names.

    Partitions of scores that are only past the retention of scores are emptied: late samples may still be scored.
    """
    now = now or times.now()
    kept_days = {scores: score_days, shadow_scores: SHADOW_DAYS}
    dropped: list[str] = []
    for table in TABLES:
        for name, week in existing(session, table):
            end = datetime.combine(week, datetime.min.time(), UTC) + timedelta(days=7)
            if end <= now - timedelta(days=sample_days):
                session.execute(text(f"DROP TABLE {name}"))
                dropped.append(name)
            elif end <= now - timedelta(days=kept_days.get(table, sample_days)):
                session.execute(text(f"TRUNCATE {name}"))
    return dropped


def existing(session: Session, table: Table) -> list[tuple[str, date]]:
    """The partitions of a table with the Monday each begins on, oldest first."""
    names = session.scalars(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = CAST(:parent AS regclass) ORDER BY c.relname"
        ),
        {"parent": table.name},
    )
    found = ((name, _NAME.match(name)) for name in names)
    return [(name, datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date()) for name, match in found if match]


def _weeks(first: datetime, last: datetime) -> Iterator[date]:
    monday = first.date() - timedelta(days=first.weekday())
    while monday <= last.date():
        yield monday
        monday += timedelta(days=7)
