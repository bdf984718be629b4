"""`sensus run NAME`: one process of the stack in place of this one, for containers and other supervisors."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sensus import metrics, settings
from sensus.errors import ConfigurationError, Unavailable
from sensus.runtime.processes import NAMES, SERVERS, ProcessSpec, process_table, stack_of
from sensus.runtime.up import call

OURS = tuple(name for name in NAMES if name not in SERVERS)
# In the data folder: what runs here, so that one health check serves every process of one image.
_NAME_FILE = "process"


def configure_run(parser: argparse.ArgumentParser) -> None:
    """The name of a process."""
    parser.add_argument("name", choices=OURS, help="as `sensus up` calls it")


def run(arguments: argparse.Namespace) -> int:
    """Become that process, with the servers that the settings name; returns never, unless it can't be started."""
    current = settings.load()
    _require(current, arguments.name)
    spec = _spec(current, arguments.name)
    figures = current.data_dir.resolve() / "metrics" / spec.name
    try:
        # Each has a folder of its own: processes that are alone in their containers may have the same process id.
        metrics.share_between_processes(figures)
        (current.data_dir / _NAME_FILE).write_text(spec.name, "ascii")
        if spec.prepare is not None:
            spec.prepare()
    except OSError as error:
        raise ConfigurationError(
            f"{current.data_dir} can't be written ({error.strerror}); set SENSUS_DATA_DIR to a folder of this user"
        ) from error
    os.execve(spec.command[0], spec.command, {**spec.env, metrics.DIRECTORY_VARIABLE: str(figures)})  # noqa: S606


def configure_probe(parser: argparse.ArgumentParser) -> None:
    """The name of a process, or nothing; and which question."""
    parser.add_argument("name", choices=OURS, nargs="?", help="by default the one that `sensus run` started here")
    parser.add_argument(
        "--alive", action="store_true", help="whether a restart can't help: it works, or what it needs is away"
    )


def probe(arguments: argparse.Namespace) -> int:
    """Whether the process is ready, or alive: the health check of a container."""
    current = settings.load()
    name = arguments.name or _running(current.data_dir)
    spec = _spec(current, name)
    asked, state = (spec.alive or spec.ready, "alive") if arguments.alive else (spec.ready, "ready")
    if not asked():
        raise Unavailable(f"{name} is not {state}")
    print(f"{name} is {state}")
    return 0


def configure_prepare(parser: argparse.ArgumentParser) -> None:
    """No arguments: everything comes from the settings."""
    parser.description = "Bring the tables to this release, and make the first access: what comes before `sensus run`."


def prepare(_arguments: argparse.Namespace) -> int:
    """Do what `sensus up` does between its servers and its own processes; it may be done again."""
    current = settings.load()
    print(f"database is at {call('db.cli:prepare', current)}")
    call("web.cli:prepare_access", current)
    return 0


def _spec(current: settings.Settings, name: str) -> ProcessSpec:
    table = process_table(stack_of(current, dict(os.environ)))
    return next(spec for spec in table if spec.name == name)


def _require(current: settings.Settings, name: str) -> None:
    # Said here in one line; said later it would be the last of a traceback, again and again.
    current.require_redis_url()
    if name == "flower":
        if current.admin_password is None:
            raise ConfigurationError("SENSUS_ADMIN_PASSWORD is not set; Flower asks for it")
        return
    current.require_database_url()
    if name == "web":
        current.require_jwt_secret()


def _running(data_dir: Path) -> str:
    try:
        name = (data_dir / _NAME_FILE).read_text("ascii").strip()
    except OSError as error:
        raise Unavailable(f"`sensus run` started nothing in {data_dir}; name the process") from error
    if name not in OURS:
        raise ConfigurationError(f"{data_dir / _NAME_FILE} names no process; remove it")
    return name
