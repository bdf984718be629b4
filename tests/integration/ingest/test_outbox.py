"""The relay moves audit entries to Redis: in order, all of them, each once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import redis
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import OutboxEntry
from db.outbox import BATCH_ENTRIES, relay
from db.queries import outbox
from db.session import Database
from sensus import audit


def fill(database: Database, names: Sequence[str], stream: audit.Stream = audit.RAW) -> None:
    for name in names:
        with database.transaction() as session:
            outbox.add(
                session, outbox.NewEntry(stream=stream, type="alert", facts={"n": 1}, request_id=name, actor="key:1")
            )


def in_redis(client: redis.Redis, stream: audit.Stream = audit.RAW) -> list[str]:
    return [entry["request_id"] for entry in audit.tail(client, stream, count=10_000, follow=False)]


def waiting(session: Session) -> int:
    return session.scalars(select(func.count(OutboxEntry.id))).one()


class Died(Exception):
    """The process is gone."""


def test_entries_arrive_in_order_and_leave_the_outbox(
    database: Database, session: Session, redis_client: redis.Redis
) -> None:
    names = [f"r{number}" for number in range(25)]
    fill(database, names)
    fill(database, ["login"], stream=audit.ACCESS)
    assert relay(database, partial(audit.append_batch, redis_client)) == 26
    assert in_redis(redis_client) == names
    assert in_redis(redis_client, audit.ACCESS) == ["login"]
    assert waiting(session) == 0
    assert relay(database, partial(audit.append_batch, redis_client)) == 0


def test_more_than_one_batch_goes_out_in_one_call(
    database: Database, session: Session, redis_client: redis.Redis
) -> None:
    with database.transaction() as open_session:
        for number in range(BATCH_ENTRIES + 10):
            outbox.add(
                open_session,
                outbox.NewEntry(stream=audit.RAW, type="alert", facts={}, request_id=f"r{number}", actor="key:1"),
            )
    assert relay(database, partial(audit.append_batch, redis_client)) == BATCH_ENTRIES + 10
    assert in_redis(redis_client) == [f"r{number}" for number in range(BATCH_ENTRIES + 10)]


def test_a_relay_that_died_after_redis_had_the_batch_repeats_nothing(
    database: Database, session: Session, redis_client: redis.Redis
) -> None:
    def append_and_die(installation: str, batch: int, entries: Sequence[audit.Entry]) -> None:
        audit.append_batch(redis_client, installation, batch, entries)
        raise Died

    fill(database, ["a", "b"])
    with pytest.raises(Died):
        relay(database, append_and_die)
    assert waiting(session) == 2
    fill(database, ["c"])
    relay(database, partial(audit.append_batch, redis_client))
    assert in_redis(redis_client) == ["a", "b", "c"]
    assert waiting(session) == 0


def test_a_relay_that_died_before_redis_had_the_batch_loses_nothing(
    database: Database, session: Session, redis_client: redis.Redis
) -> None:
    def die(_installation: str, _batch: int, _entries: Sequence[audit.Entry]) -> None:
        raise Died

    fill(database, ["a", "b"])
    with pytest.raises(Died):
        relay(database, die)
    fill(database, ["c"])
    relay(database, partial(audit.append_batch, redis_client))
    assert in_redis(redis_client) == ["a", "b", "c"]


def test_several_relays_at_once_send_each_entry_once(
    database: Database, session: Session, redis_client: redis.Redis
) -> None:
    names = [f"r{number}" for number in range(60)]
    fill(database, names)
    with ThreadPoolExecutor(4) as pool:
        moved = list(pool.map(lambda _: relay(database, partial(audit.append_batch, redis_client)), range(4)))
    assert sum(moved) == 60
    assert in_redis(redis_client) == names
    assert waiting(session) == 0


def test_an_entry_of_a_transaction_that_failed_never_appears(database: Database, redis_client: redis.Redis) -> None:
    def add_and_die() -> None:
        with database.transaction() as session:
            outbox.add(
                session, outbox.NewEntry(stream=audit.RAW, type="alert", facts={}, request_id="a", actor="key:1")
            )
            raise Died

    with pytest.raises(Died):
        add_and_die()
    assert relay(database, partial(audit.append_batch, redis_client)) == 0
    assert in_redis(redis_client) == []
