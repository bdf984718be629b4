"""A real PgBouncer in transaction mode before a test's PostgreSQL, with fewer connections than users of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg

from sensus.runtime import ports
from tests.waiting import wait_for

PROGRAM = "pgbouncer"
CONNECTIONS = 2
_CONFIG = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
{user}
"""


class PgBouncer:
    """PgBouncer for the time of a `with` block; `url` is `database_url` by way of it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._behind = urlsplit(database_url)
        self._port = ports.choose(0, "a test")
        assert self._behind.hostname is not None
        netloc = f"{self._behind.netloc.rpartition('@')[0]}@127.0.0.1:{self._port}"
        self.url = urlunsplit(self._behind._replace(netloc=netloc))

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        users, config, log = (self._folder / name for name in ("users.txt", "pgbouncer.ini", "log"))
        users.write_text(f'"{self._behind.username}" "{unquote(self._behind.password or "")}"\n')
        as_root = os.geteuid() == 0
        config.write_text(
            _CONFIG.format(
                host=self._behind.hostname,
                server_port=self._behind.port,
                port=self._port,
                users=users,
                connections=CONNECTIONS,
                # It refuses to stay root.
                user="user = nobody" if as_root else "",
            )
        )
        if as_root:
            for path in (self._folder, users, config):
                shutil.chown(path, "nobody")
        program = shutil.which(PROGRAM, path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, f"{PROGRAM} is missing"
        with log.open("wb") as file:
            self._process = subprocess.Popen([program, str(config)], stdout=file, stderr=subprocess.STDOUT)
        wait_for(self._answers, f"PgBouncer answers; {log.read_text()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False
