"""`sensus run NAME`: one process of the stack in place of this one, for containers and other supervisors."""

from __future__ import annotations

import argparse
import os

from sensus import metrics, settings
from sensus.errors import ConfigurationError
from sensus.runtime import probe
from sensus.runtime.names import OURS
from sensus.runtime.processes import process_of
from sensus.runtime.up import call


def configure_run(parser: argparse.ArgumentParser) -> None:
    """The name of a process."""
    parser.add_argument("name", choices=OURS, help="as `sensus up` calls it")


def run(arguments: argparse.Namespace) -> int:
    """Become that process, with the servers that the settings name; returns never, unless it can't be started."""
    current = settings.load()
    _require(current, arguments.name)
    spec = process_of(current, dict(os.environ), arguments.name)
    figures = current.data_dir.resolve() / "metrics" / spec.name
    try:
        # Each has a folder of its own: processes that are alone in their containers may have the same process id.
        metrics.share_between_processes(figures)
        probe.keep(current.data_dir, spec.name, {"ready": spec.ready, "alive": spec.alive})
        if spec.prepare is not None:
            spec.prepare()
    except OSError as error:
        raise ConfigurationError(
            f"{current.data_dir} can't be written ({error.strerror}); set SENSUS_DATA_DIR to a folder of this user"
        ) from error
    os.execve(spec.command[0], spec.command, {**spec.env, metrics.DIRECTORY_VARIABLE: str(figures)})  # noqa: S606


def configure_prepare(parser: argparse.ArgumentParser) -> None:
    """No arguments: everything comes from the settings."""
    parser.description = "Bring the tables to this release, and make the first access: what comes before `sensus run`."


def prepare(_arguments: argparse.Namespace) -> int:
    """Do what `sensus up` does between its servers and its own processes; it may be done again."""
    current = settings.load()
    print(f"database is at {call('db.cli:prepare', current)}")
    call("web.cli:prepare_access", current)
    return 0


# What a process can't do without.  Said here in one line; said later it would end a traceback, again and again.
_NEEDS = {
    "web": ("redis_url", "database_url", "jwt_secret"),
    "flower": ("redis_url", "admin_password"),
}


def _require(current: settings.Settings, name: str) -> None:
    for field in _NEEDS.get(name, ("redis_url", "database_url")):
        if getattr(current, field) is None:
            raise ConfigurationError(f"{settings.PREFIX}{field.upper()} is not set; `sensus run {name}` needs it")
