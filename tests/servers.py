"""Real PostgreSQL and Redis for tests, private to one process, on free ports, in a temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from sensus.runtime.ports import choose
from sensus.runtime.postgres import ADMIN, APPLICATION, EmbeddedPostgres
from sensus.runtime.redis_server import EmbeddedRedis


class Server(Protocol):
    """What EmbeddedPostgres and EmbeddedRedis have in common."""

    name: str
    stop_signal: signal.Signals
    port: int

    @property
    def url(self) -> str: ...
    def prepare(self) -> None: ...
    def command(self) -> list[str]: ...
    def ready(self) -> bool: ...


_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 1024**3


class RunningServer:
    """One server process that a test may stop, kill and start again on the same port and data."""

    def __init__(self, server: Server, log: Path) -> None:
        self.server = server
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not started"
        return self._process.pid

    def start(self, timeout_s: float = 30.0) -> None:
        self.server.prepare()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.server.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout_s
        while not self.server.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.server.name} did not start:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as the supervisor would."""
        self._end(self.server.stop_signal)

    def kill(self) -> None:
        """SIGKILL the server and all its children: the machine's power goes, as far as it can tell."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP it: connections stay open and nothing answers. `resume` ends that."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_group(signal.SIGCONT)

    def log(self) -> str:
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def _signal_group(self, how: signal.Signals) -> None:
        os.killpg(self.pid, how)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class PrivateServers:
    """PostgreSQL and Redis for the time of a `with` block.

    `durable=False` leaves out fsync and keeps the files in memory where there is room: a database for each test is then
    copied in a tenth of the time.  They survive SIGKILL all the same.
    """

    def __init__(self, *, durable: bool = False, postgres: bool = True, redis: bool = True) -> None:
        self._durable = durable
        self._wanted = (postgres, redis)
        self.folder = Path()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="sensus-", dir=None if self._durable else _in_memory()))
        self.postgres = RunningServer(
            EmbeddedPostgres(self.folder / "postgres", choose(0, "a test"), durable=self._durable),
            self.folder / "postgres.log",
        )
        self.redis = RunningServer(EmbeddedRedis(self.folder / "redis", choose(0, "a test")), self.folder / "redis.log")
        try:
            for wanted, server in zip(self._wanted, (self.postgres, self.redis), strict=True):
                if wanted:
                    server.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for server in (self.redis, self.postgres):
            server.kill()  # nothing in the folder is wanted any more, so nobody waits for a checkpoint
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database_url(self) -> str:
        """The application's database, empty, as `postgresql+psycopg://`."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.redis.url

    def new_database(self, template: str | None = None) -> str:
        """The URL of a fresh database, owned by the application's role.

        `template` is the URL of a database to copy (about 40 ms); nobody may be connected to that one.
        """
        name = f"test_{secrets.token_hex(6)}"
        source = sql.Identifier(urlsplit(template).path.lstrip("/")) if template else sql.SQL("template1")
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(APPLICATION), source
        )
        self._as_admin(lambda connection: connection.execute(statement))
        return self.database_url.rsplit("/", 1)[0] + f"/{name}"

    def drop_database(self, url: str) -> None:
        """Drop a database of `new_database`, ending whatever is connected to it."""
        name = sql.Identifier(urlsplit(url).path.lstrip("/"))
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
        self._as_admin(lambda connection: connection.execute(statement))

    def _as_admin(self, work: Callable[[psycopg.Connection], object]) -> None:
        server = self.postgres.server
        assert isinstance(server, EmbeddedPostgres)
        with psycopg.connect(server.admin_url, autocommit=True, dbname=ADMIN) as connection:
            work(connection)


def _in_memory() -> str | None:
    """A folder in memory with room for a run of the suite, or None."""
    is_there = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    return str(_MEMORY) if is_there and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES else None
