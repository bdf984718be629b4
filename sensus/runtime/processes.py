"""Which processes make up the stack?  The process table, as data, in the order in which they start."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from sensus.errors import ConfigurationError
from sensus.runtime import probes
from sensus.runtime.names import NAMES, QUEUES
from sensus.settings import Settings

FLOWER_USER = "admin"
_PYTHON = (sys.executable, "-m")
_CELERY = ("celery", "--quiet", "--app=tasks.app")
_WORKER_PATIENCE_S = 4.0
_MAINTENANCE_PROCESSES = 3
# Of PYTHONWARNINGS: Celery says so at each start by root, where root is what the user chose.
_ROOT_IS_FINE = "ignore:You're running the worker with superuser privileges"
# Each worker says so at its stop, with advice for one who stops it alone.
_WORKERS_FAREWELL = re.compile(
    r"^\s*$|worker: (Hitting Ctrl\+C again|Cold shutdown)|Initiating Soft Shutdown|Waiting gracefully for cold shutdown"
)
_COLOURS = ("34", "31", "32", "36", "35", "33", "94", "95")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How one process is started, known to be ready, and stopped."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]  # the whole environment, not an addition
    cwd: Path
    ready: Callable[[], bool]
    # Long, for a machine that is slow or busy; what dies at its start is told at once.
    ready_timeout_s: float = 600.0
    told_every_s: float = 20.0  # that it is still waited for
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 9.0
    colour: str = ""  # a number of a terminal's colours
    hidden: re.Pattern[str] | None = None  # lines of its output that say nothing to people
    prepare: Callable[[], None] | None = None  # before each start, also of a restart
    # Whether it makes no sense to restart it; None: as long as it is ready.
    alive: Callable[[], bool] | None = None


class Server(Protocol):
    """EmbeddedPostgres and EmbeddedRedis."""

    @property
    def stop_signal(self) -> signal.Signals: ...
    def prepare(self) -> None: ...
    def command(self) -> list[str]: ...
    def ready(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Stack:
    """What the table depends on.  A server is None when the user brings his own."""

    data_dir: Path
    environment: Mapping[str, str]  # of web, workers, beat and Flower; has all their settings and secrets
    redis_url: str
    host: str
    port: int
    flower_host: str
    flower_port: int
    flower_password: str
    web_workers: int = 2
    web_threads: int = 8
    worker_concurrency: int = 2
    postgres: Server | None = None
    redis: Server | None = None


def stack_of(
    complete: Settings,
    environment: Mapping[str, str],
    *,
    postgres: Server | None = None,
    redis: Server | None = None,
) -> Stack:
    """The parameters of the table, from settings that are complete.  Raises ConfigurationError when they are not."""
    password = complete.admin_password
    return Stack(
        data_dir=complete.data_dir,
        environment=environment,
        redis_url=complete.require_redis_url(),
        host=complete.host,
        port=complete.port,
        flower_host=complete.flower_host,
        flower_port=complete.flower_port,
        flower_password="" if password is None else password.get_secret_value(),
        web_workers=complete.web_workers,
        web_threads=complete.web_threads,
        worker_concurrency=complete.worker_concurrency,
        postgres=postgres,
        redis=redis,
    )


def process_of(complete: Settings, environment: Mapping[str, str], name: str) -> ProcessSpec:
    """The entry of one process of ours, with the servers that the settings name."""
    return next(spec for spec in process_table(stack_of(complete, environment)) if spec.name == name)


def process_table(stack: Stack) -> tuple[ProcessSpec, ...]:
    """All processes; the servers come first, the rest needs them and the migrations."""
    table: list[ProcessSpec] = []
    if stack.postgres is not None:
        table.append(_server(stack, "postgres", stack.postgres))
    if stack.redis is not None:
        table.append(_server(stack, "redis", stack.redis))
    table += [_web(stack), *(_worker(stack, queue) for queue in QUEUES), _beat(stack), _flower(stack)]
    return tuple(table)


def _server(stack: Stack, name: str, server: Server) -> ProcessSpec:
    # A server needs none of our secrets, and PG* variables of the user's shell would redirect it.
    env = {key: value for key, value in stack.environment.items() if not key.startswith(("SENSUS_", "PG"))}
    return ProcessSpec(
        name=name,
        command=tuple(server.command()),
        env=env,
        cwd=stack.data_dir,
        ready=server.ready,
        stop_signal=server.stop_signal,
        stop_timeout_s=5.0,
        colour=_colour(name),
        prepare=server.prepare,
    )


def _web(stack: Stack) -> ProcessSpec:
    bind = f"[{stack.host}]:{stack.port}" if ":" in stack.host else f"{stack.host}:{stack.port}"
    command = (
        *_PYTHON,
        "gunicorn",
        "--config=python:sensus.runtime.gunicorn_conf",
        f"--bind={bind}",
        f"--workers={stack.web_workers}",
        f"--threads={stack.web_threads}",
        "web.wsgi:app",
    )
    spec = _ours(stack, "web", command, probes.Http(stack.host, stack.port, "/health/ready"))
    return replace(spec, alive=probes.Http(stack.host, stack.port, "/health/live"))


def _worker(stack: Stack, queue: str) -> ProcessSpec:
    # There is one piece of long work at a time, such as training, and one process waits for chat and mail servers; the
    # third is for what can't wait so long.
    concurrency = _MAINTENANCE_PROCESSES if queue == "maintenance" else stack.worker_concurrency
    command = (
        *_PYTHON,
        *_CELERY,
        "worker",
        f"--queues={queue}",
        f"--hostname={queue}@%h",
        "--pool=prefork",
        f"--concurrency={concurrency}",
        "--without-gossip",
        "--without-mingle",
        "--loglevel=WARNING",
        # A task at hand gets this long, then its message is put back; all within the time that a stop may take.
        f"worker.soft_shutdown_timeout={_WORKER_PATIENCE_S:g}",
    )
    environment = {
        # A plain SIGTERM waits for the task at hand, for minutes; with this it is put back and the worker leaves.
        "REMAP_SIGTERM": "SIGQUIT",
        # The processes are our parallelism; threads of the numeric libraries would fight over the same cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    node = f"{queue}@{socket.gethostname()}"
    spec = _ours(stack, f"worker-{queue}", command, lambda: probes.worker_answers(stack.redis_url, node), **environment)
    return replace(
        spec,
        alive=lambda: not probes.redis_answers(stack.redis_url) or spec.ready(),
        hidden=_WORKERS_FAREWELL,
    )


def _beat(stack: Stack) -> ProcessSpec:
    folder = stack.data_dir.resolve()
    command = (
        *_PYTHON,
        *_CELERY,
        "beat",
        f"--schedule={folder / 'beat-schedule'}",
        "--scheduler=tasks.beat:PulsingScheduler",
        "--loglevel=WARNING",
    )
    pulse = probes.Pulse(folder / probes.PULSE_FILE)
    # The pulse of an earlier beat says nothing of this one.
    prepare = partial(pulse.path.unlink, missing_ok=True)
    spec = _ours(stack, "beat", command, pulse)
    return replace(spec, prepare=prepare, alive=lambda: spec.ready() or not probes.redis_answers(stack.redis_url))


def _flower(stack: Stack) -> ProcessSpec:
    command = (
        *_PYTHON,
        *_CELERY,
        "flower",
        f"--address={stack.flower_host}",
        f"--port={stack.flower_port}",
        "--logging=ERROR",  # it warns of each worker that is still starting
    )
    if "," in stack.flower_password:
        # It would take what stands before the comma for the whole.
        raise ConfigurationError("Flower takes no password with a comma; set another SENSUS_ADMIN_PASSWORD")
    # By the environment, since a list of processes is open to everybody.
    login = f"{FLOWER_USER}:{stack.flower_password}"
    return _ours(
        stack,
        "flower",
        command,
        probes.Http(stack.flower_host, stack.flower_port, "/healthcheck"),
        FLOWER_BASIC_AUTH=login,
    )


def _ours(
    stack: Stack, name: str, command: tuple[str, ...], ready: Callable[[], bool], **environment: str
) -> ProcessSpec:
    # Unbuffered, so that what a process says just before it dies is seen.
    warnings = ",".join(part for part in (stack.environment.get("PYTHONWARNINGS"), _ROOT_IS_FINE) if part)
    env = {**stack.environment, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": warnings, **environment}
    return ProcessSpec(name=name, command=command, env=env, cwd=Path.cwd(), ready=ready, colour=_colour(name))


def _colour(name: str) -> str:
    return _COLOURS[NAMES.index(name)]
