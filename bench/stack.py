"""Where is measured?  A stack of the benchmark's own: PostgreSQL, Redis and the API as `sensus up` runs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

from bench import cpu
from bench.load import Target
from db import cli
from db.session import Database
from sensus import logs, metrics, settings
from sensus.errors import ConfigurationError
from sensus.runtime import ports, up
from sensus.runtime.names import SERVERS
from sensus.runtime.output import Console
from sensus.runtime.postgres import ADMIN, APPLICATION, EmbeddedPostgres
from sensus.runtime.processes import ProcessSpec, Stack, process_table
from sensus.runtime.supervisor import Supervisor
from web import identity

Connection = psycopg.Connection[Any]

BARE_APP = "bench.bare:app"
_API = "web"
_FILLED = "filled"


@dataclass(frozen=True, slots=True)
class Api:
    """One API on a database of its own."""

    name: str  # of its process
    port: int
    key: str  # an API key without a limit
    database_url: str

    def connect(self) -> Connection:
        """A connection of the application's role, each statement committed by itself."""
        return psycopg.connect(self.database_url, autocommit=True)

    def target(self, path: str, headers: Mapping[str, str], method: str = "POST") -> Target:
        """Where to send, with the key."""
        return Target(self.port, path, {**headers, "Authorization": f"Bearer {self.key}"}, method)


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """CPU time so far of each part of the stack."""

    app: float
    database: float
    redis: float

    def since(self, before: CpuSeconds) -> CpuSeconds:
        """What was taken since then."""
        return CpuSeconds(self.app - before.app, self.database - before.database, self.redis - before.redis)


@dataclass(frozen=True, slots=True)
class BenchStack:
    """Everything that runs.  The workers do not: what is measured is ingest, and the rows wait for them."""

    supervisor: Supervisor
    plan: up.Plan
    api: Api
    filled: Api | None  # on a second database, to be filled; side by side, so that noise hits both
    bare_port: int

    @property
    def admin_url(self) -> str:
        """The superuser's way into the stack's own PostgreSQL."""
        return _own_postgres(self.plan.stack).admin_url

    def cpu(self, name: str) -> CpuSeconds:
        """CPU time of the app of this name and of the servers behind it."""
        pids = self.supervisor.pids
        return CpuSeconds(*(cpu.seconds_of(pids[each]) for each in (name, *SERVERS)))


@contextmanager
def temporary(*, with_filled: bool) -> Iterator[BenchStack]:
    """A stack in a temporary folder, on free ports; all of it ends with the block.

    Raises KeyboardInterrupt when somebody asked to stop meanwhile.
    """
    stopped = True
    with tempfile.TemporaryDirectory(prefix="sensus-bench-") as name:
        folder = Path(name)
        plan = up.make_plan(_settings(folder))
        metrics.share_between_processes(Path(plan.stack.environment[metrics.DIRECTORY_VARIABLE]))
        log = os.open(folder / "stack.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # What the processes say would only hide the progress; the last words of one that failed are told.
            with Supervisor(Console(log, colour=False), run=str(folder.resolve())) as supervisor:
                supervisor.start([spec for spec in process_table(plan.stack) if spec.name in SERVERS])
                yield _started(supervisor, plan, with_filled=with_filled)
                stopped = False
        finally:
            os.close(log)
    if stopped:
        # The supervisor ends its block quietly; whoever counts on what was measured must hear of it.
        raise KeyboardInterrupt


def _started(supervisor: Supervisor, plan: up.Plan, *, with_filled: bool) -> BenchStack:
    bare_port = ports.choose(0, "the bare handler")
    bare = replace(_served(plan.stack, bare_port), name="bare")
    specs = [_served(plan.stack, plan.stack.port), replace(bare, command=(*bare.command[:-1], BARE_APP))]
    api = _api(_API, plan.stack.port, plan.settings)
    filled = None
    if with_filled:
        second = plan.settings.model_copy(update={"database_url": SecretStr(_second_database(plan.stack))})
        stack = replace(plan.stack, environment={**plan.stack.environment, "SENSUS_DATABASE_URL": _plain_url(second)})
        filled = _api(f"{_API}-{_FILLED}", ports.choose(0, "the second API"), second)
        specs.append(replace(_served(stack, filled.port), name=filled.name))
    supervisor.start(specs)
    return BenchStack(supervisor, plan, api, filled, bare_port)


def _settings(folder: Path) -> settings.Settings:
    # Of the user's settings those hold that decide about speed; servers and addresses are the benchmark's own.
    own: dict[str, Any] = {"data_dir": folder, "host": ports.LOOPBACK, "database_url": None, "redis_url": None}
    own |= dict.fromkeys(("port", "flower_port", "postgres_port", "redis_port"), 0)
    return settings.load().model_copy(update=own)


def _served(stack: Stack, port: int) -> ProcessSpec:
    return next(spec for spec in process_table(replace(stack, port=port)) if spec.name == _API)


def _api(name: str, port: int, current: settings.Settings) -> Api:
    """Tables of this release, and a key without a limit: the limiter's code stays on the path."""
    cli.prepare(current)
    database = Database(current.require_database_url(), application="sensus-bench")
    try:
        with database.transaction() as session:
            _, key = identity.make_key(
                session,
                "bench",
                identity.SOURCE_SCOPES,
                rate=None,
                actor="sensus bench",
                request_id=logs.new_request_id(),
            )
    finally:
        database.close()
    return Api(name, port, key, _plain_url(current))


def _second_database(stack: Stack) -> str:
    server = _own_postgres(stack)
    statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(_FILLED), sql.Identifier(APPLICATION))
    with psycopg.connect(server.admin_url, autocommit=True, dbname=ADMIN) as connection:
        connection.execute(statement)
    return f"{server.url.rpartition('/')[0]}/{_FILLED}"


def _own_postgres(stack: Stack) -> EmbeddedPostgres:
    if not isinstance(stack.postgres, EmbeddedPostgres):
        raise ConfigurationError("the benchmark runs on a PostgreSQL of its own only")
    return stack.postgres


def _plain_url(current: settings.Settings) -> str:
    return settings.plain_url(current.require_database_url())
