"""What the private servers survive: SIGKILL, a dead supervisor, stale pid files, half-written files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from sensus.runtime import leftovers
from tests.servers import PrivateServers

pytestmark = pytest.mark.faults


@pytest.fixture
def postgres() -> Iterator[PrivateServers]:
    with PrivateServers(redis=False) as servers:
        yield servers


@pytest.fixture
def broker() -> Iterator[PrivateServers]:
    with PrivateServers(postgres=False) as servers:
        yield servers


def connect(servers: PrivateServers) -> psycopg.Connection:
    return psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)


def count(servers: PrivateServers) -> int:
    with connect(servers) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def test_postgres_loses_nothing_that_was_committed_when_it_is_killed(postgres: PrivateServers) -> None:
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        for number in range(200):
            connection.execute("INSERT INTO kept VALUES (%s)", [number])
        postgres.postgres.kill()
    postgres.postgres.start()

    assert count(postgres) == 200


def test_redis_loses_nothing_that_was_confirmed_when_it_is_killed(broker: PrivateServers) -> None:
    with redis.Redis.from_url(broker.redis_url) as client:
        for number in range(500):
            client.xadd("stream", {"number": number})
        broker.redis.kill()
    broker.redis.start()

    with redis.Redis.from_url(broker.redis_url) as client:
        assert client.xlen("stream") == 500


def test_redis_starts_from_a_file_whose_last_command_is_half_written(broker: PrivateServers) -> None:
    with redis.Redis.from_url(broker.redis_url) as client:
        for number in range(10):
            client.rpush("list", number)
    broker.redis.kill()
    (log,) = (broker.folder / "redis" / "appendonlydir").glob("*.incr.aof")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 3)
    broker.redis.start()

    with redis.Redis.from_url(broker.redis_url) as client:
        assert client.llen("list") == 9


def test_a_server_that_a_dead_supervisor_left_is_stopped_before_the_next_starts(postgres: PrivateServers) -> None:
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    left = psutil.Process(postgres.postgres.pid)
    assert len(leftovers.find(postgres.folder / "postgres" / "data", "postgres")) > 1
    postgres.postgres.start()

    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert postgres.postgres.pid != left.pid
    assert count(postgres) == 1


def test_a_broker_that_a_dead_supervisor_left_is_stopped_before_the_next_starts(broker: PrivateServers) -> None:
    with redis.Redis.from_url(broker.redis_url) as client:
        client.set("kept", 7)
    left = psutil.Process(broker.redis.pid)
    broker.redis.start()

    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    with redis.Redis.from_url(broker.redis_url) as client:
        assert client.get("kept") == b"7"


def test_a_backend_that_outlived_its_server_does_not_stop_the_next(postgres: PrivateServers) -> None:
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        backend = psutil.Process(connection.info.backend_pid)
        backend.suspend()  # so it can't notice that its server has gone
        postgres.postgres.kill()
        postgres.postgres.start()

    assert not backend.is_running()
    assert count(postgres) == 1


def test_a_pid_file_that_names_a_stranger_harms_neither_start_nor_stranger(postgres: PrivateServers) -> None:
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    postgres.postgres.kill()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        pid_file = postgres.folder / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        postgres.postgres.start()

        assert count(postgres) == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_only_servers_of_this_very_folder_count_as_left_over(postgres: PrivateServers, tmp_path: Path) -> None:
    with PrivateServers(redis=False) as others:
        found = leftovers.find(others.folder / "postgres" / "data", "postgres")

        assert others.postgres.pid in {process.pid for process in found}
        assert postgres.postgres.pid not in {process.pid for process in found}
        assert leftovers.find(tmp_path, "postgres") == []
        assert os.getpid() not in {process.pid for process in leftovers.find(Path.cwd(), "postgres")}
