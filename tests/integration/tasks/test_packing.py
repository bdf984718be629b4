"""Weeks that are over are packed: less room, the same samples, and each once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db import packing
from db.session import Database
from sensus import times
from sensus.settings import Settings
from tests.integration.tasks.conftest import Put

SERIES, SAMPLES = 20, 400


@pytest.fixture
def last_week(put: Put, session: Session) -> str:
    """The partition of last week, filled as it comes: some samples of each series, then the next ones of each."""
    monday = times.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=times.now().weekday() + 7)
    for block in range(0, SAMPLES, 20):
        for number in range(SERIES):
            put([(monday + timedelta(minutes=block + n), float(n)) for n in range(20)], f"m{number}")
    return f"samples_p{monday:%Y%m%d}"


def test_house_keeping_packs_each_week_that_is_over_once(
    worker: Settings, database: Database, session: Session, last_week: str
) -> None:
    from tasks.upkeep import keep_house

    before = index_bytes(session, last_week)
    keep_house()
    assert index_bytes(session, last_week) < 0.8 * before
    assert session.scalar(text("SELECT count(*) FROM samples")) == SERIES * SAMPLES
    assert packing.pack(database, until=time.monotonic() + 60) == []
    this_week = monday_of(last_week) + timedelta(days=7)
    assert "fillfactor" not in index_of(session, f"samples_p{this_week:%Y%m%d}")


def test_a_packed_week_takes_late_samples_and_each_once(
    database: Database, session: Session, put: Put, last_week: str
) -> None:
    assert last_week in packing.pack(database, until=time.monotonic() + 60)
    at = monday_of(last_week)
    put([(at, 1.0), (at + timedelta(days=3), 1.0)], "m0")
    assert session.scalar(text("SELECT count(*) FROM samples")) == SERIES * SAMPLES + 1


def test_a_week_that_somebody_reads_is_packed_the_next_time(
    database: Database, session: Session, last_week: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_LOCK_WAIT_S", 0.2)
    with database.transaction() as reader:
        # The index can't be swapped while somebody reads with a snapshot from before.
        reader.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        reader.execute(text(f"SELECT count(*) FROM {last_week}"))
        assert last_week not in packing.pack(database, until=time.monotonic() + 60)
    with database.direct() as connection:
        assert connection.driver.execute("SHOW statement_timeout").fetchone() == ("10s",)
    assert last_week in packing.pack(database, until=time.monotonic() + 60)
    assert session.scalar(text("SELECT count(*) FROM pg_index WHERE NOT indisvalid")) == 0
    assert session.scalar(text("SELECT count(*) FROM samples")) == SERIES * SAMPLES


def monday_of(partition: str) -> datetime:
    return datetime.strptime(partition[-8:], "%Y%m%d").replace(tzinfo=UTC)


def index_bytes(session: Session, table: str) -> int:
    size = session.scalar(text("SELECT pg_indexes_size(CAST(:table AS regclass))"), {"table": table})
    assert size is not None
    return int(size)


def index_of(session: Session, table: str) -> str:
    return str(session.scalar(text("SELECT indexdef FROM pg_indexes WHERE tablename = :table"), {"table": table}))
