"""The `sensus` command: a table from command to function, imported when it is used."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sensus import __version__
from sensus.errors import ConfigurationError, SensusError, Unavailable


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `configure` adds its arguments to a parser, `run` does it and returns the exit code."""

    name: str
    help: str
    configure: str
    run: str


COMMANDS = (
    Command(
        "up",
        "run the whole stack in the foreground",
        "sensus.runtime.up:configure",
        "sensus.runtime.up:run",
    ),
    Command(
        "run",
        "one process of the stack, for containers and other supervisors",
        "sensus.runtime.run:configure_run",
        "sensus.runtime.run:run",
    ),
    Command(
        "probe",
        "whether a process of `sensus run` is ready",
        "sensus.runtime.probe:configure",
        "sensus.runtime.probe:run",
    ),
    Command(
        "prepare",
        "make tables and first access, before `sensus run`",
        "sensus.runtime.run:configure_prepare",
        "sensus.runtime.run:prepare",
    ),
    Command("check", "validate settings and every server", "sensus.check:configure", "sensus.check:run"),
    Command("db", "bring the tables to this release", "db.cli:configure", "db.cli:run"),
    Command("user", "people who log in", "web.cli:configure_user", "web.cli:user"),
    Command("token", "print an access token of a user", "web.cli:configure_token", "web.cli:token"),
    Command("key", "API keys of senders and programs", "web.cli:configure_key", "web.cli:key"),
    Command("audit", "read the audit streams", "web.cli:configure_audit", "web.cli:audit"),
    Command("score", "score series in files, without any server", "tasks.cli:configure_score", "tasks.cli:score"),
    Command(
        "rootcause",
        "rank the suspects of cases in files, without any server",
        "tasks.rootcause_cli:configure",
        "tasks.rootcause_cli:run",
    ),
    Command(
        "notify",
        "where finished analyses go",
        "tasks.notify_cli:configure",
        "tasks.notify_cli:run",
    ),
    Command("models", "versions of the detection model", "tasks.cli:configure_models", "tasks.cli:models"),
    Command("bench", "measure this machine, on a temporary stack of its own", "bench.cli:configure", "bench.cli:run"),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.  Exit codes: 0 done, 1 the work failed, 2 wrong usage."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        arguments = _parsed(words)
        command = next(command for command in COMMANDS if command.name == arguments.command)
        return int(_resolve(command.run)(arguments))
    except SensusError as error:
        print(f"sensus: {_with_cause(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left, as `head` does; a second complaint at exit helps nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("SENSUS_LOG_LEVEL") == "DEBUG":
            raise
        if (cause := _cause(error)) is not None:
            print(f"sensus: {cause}", file=sys.stderr)
            return 1
        first_line = next(iter(str(error).splitlines()), "")
        told = "nobody foresaw this; SENSUS_LOG_LEVEL=DEBUG shows where"
        print(f"sensus: {type(error).__name__}: {first_line} ({told})", file=sys.stderr)
        return 1


def _with_cause(error: SensusError) -> str:
    cause = _cause(error) if isinstance(error, Unavailable) else None
    return str(error) if cause is None else f"{error} ({cause})"


def _cause(error: Exception) -> str | None:
    # Imported when it is needed: the clients of the servers take a tenth of a second.
    from sensus import servers

    return servers.cause(error)


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sensus", description="Why does the site's Prometheus shout?")
    parser.add_argument("--version", action="version", version=f"sensus {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), None)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        # Only the command that is used is imported: most need neither a web framework nor scikit-learn.
        if command.name == chosen:
            _resolve(command.configure)(subparser)
    return parser.parse_args(words)


def _resolve(name: str) -> Any:
    module, _, function = name.partition(":")
    try:
        return getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        # The image of the API has neither model code nor what only workers need.
        raise ConfigurationError(
            f"this command needs {error.name}, which is not installed here; in containers use the workers' image"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
