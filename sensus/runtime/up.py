"""`sensus up`: the whole stack in the foreground, with one command."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sensus import metrics, servers, settings
from sensus.check import findings
from sensus.errors import ConfigurationError, SensusError
from sensus.runtime import demo, leftovers, ports, secrets
from sensus.runtime.lock import FolderLock
from sensus.runtime.names import SERVERS
from sensus.runtime.postgres import EmbeddedPostgres
from sensus.runtime.processes import ProcessSpec, Stack, process_table, stack_of
from sensus.runtime.redis_server import EmbeddedRedis
from sensus.runtime.supervisor import Supervisor, terminal_console

# Each with the secret that it takes.
_WAYS_IN = {"login": "admin_password", "key": "source_key"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What this start runs, and where."""

    settings: settings.Settings  # complete: every address and secret is there
    stack: Stack
    made: frozenset[str]  # the secrets that nobody gave, and that the data folder keeps
    is_first: bool  # no start before has got so far that it showed them


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `sensus up`."""
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder of servers, secrets and schedules (SENSUS_DATA_DIR)"
    )
    parser.add_argument("--port", type=int, help="port of the API (SENSUS_PORT); 0 picks free ports for everything")
    parser.add_argument("--demo", action="store_true", help="replay a recorded incident, to see what Sensus does")


def run(arguments: argparse.Namespace) -> int:
    """Start everything, print where it is, and keep it running until somebody stops it."""
    current = _with_options(settings.load(), arguments)
    servers.require(current)
    with FolderLock(current.data_dir):
        run_file = current.data_dir / settings.RUN_FILE
        # One that was left by a kill would send programs to a stack that is gone.
        run_file.unlink(missing_ok=True)
        # Its mark on all that it starts; what an earlier start left behind is found by it.
        mark = str(current.data_dir.resolve())
        leftovers.clear(mark)
        plan = make_plan(current)
        try:
            with Supervisor(terminal_console(), run=mark) as supervisor:
                _start(supervisor, plan, run_file)
                if arguments.demo:
                    _start_demo(supervisor, plan)
                supervisor.run()
        finally:
            run_file.unlink(missing_ok=True)
    return 0


def make_plan(current: settings.Settings) -> Plan:
    """Choose ports, make or find the secrets, and lay down the process table's parameters."""
    folder = current.data_dir.resolve()
    port = ports.choose(current.port, "SENSUS_PORT", host=current.host)
    flower_port = ports.choose(current.flower_port, "SENSUS_FLOWER_PORT", host=current.flower_host)
    made = secrets.load(folder)
    postgres = redis = None
    # The API shows the figures of all, and three workers can't listen on one port.
    update: dict[str, Any] = {"data_dir": folder, "port": port, "flower_port": flower_port, "metrics_port": 0}
    if current.database_url is None:
        postgres = EmbeddedPostgres(folder / "postgres", 0)
        postgres.prepare()  # ends a server left by a kill, which would hold the port
        postgres.port = ports.choose(current.postgres_port, "SENSUS_POSTGRES_PORT")
        update["database_url"] = SecretStr(postgres.url)
    if current.redis_url is None:
        redis = EmbeddedRedis(folder / "redis", 0)
        redis.stop_leftover()
        redis.port = ports.choose(current.redis_port, "SENSUS_REDIS_PORT")
        update["redis_url"] = SecretStr(redis.url)
    _refuse_one_port_for_two(
        {
            "SENSUS_PORT": port,
            "SENSUS_FLOWER_PORT": flower_port,
            **({"SENSUS_POSTGRES_PORT": postgres.port} if postgres is not None else {}),
            **({"SENSUS_REDIS_PORT": redis.port} if redis is not None else {}),
        }
    )
    missing = frozenset(name for name in secrets.NAMES if getattr(current, name) is None)
    update |= {name: SecretStr(getattr(made, name)) for name in missing}
    complete = current.model_copy(update=update)
    stack = stack_of(complete, _environment(complete), postgres=postgres, redis=redis)
    return Plan(complete, stack, missing, is_first=not secrets.were_shown(folder))


def _refuse_one_port_for_two(chosen: dict[str, int]) -> None:
    taken: dict[int, str] = {}
    for name, port in chosen.items():
        if port in taken:
            raise ConfigurationError(f"{taken[port]} and {name} are both {port}; set one of them to another port")
        taken[port] = name


def _with_options(current: settings.Settings, arguments: argparse.Namespace) -> settings.Settings:
    update: dict[str, Any] = {}
    if arguments.data is not None:
        update["data_dir"] = arguments.data
    if arguments.port is not None:
        update["port"] = arguments.port
        if arguments.port == 0:
            update |= dict.fromkeys(("flower_port", "postgres_port", "redis_port"), 0)
    return current.model_copy(update=update)


def _start(supervisor: Supervisor, plan: Plan, run_file: Path) -> None:
    metrics.share_between_processes(_metrics_folder(plan.settings.data_dir))
    table = process_table(plan.stack)
    brought, ours = _split(table)
    supervisor.say(f"starting in {plan.settings.data_dir}")
    if brought:
        supervisor.start(brought)
    supervisor.say(f"database is at {call('db.cli:prepare', plan.settings)}")
    call("web.cli:prepare_access", plan.settings)
    supervisor.start(ours)
    secrets.write_private(run_file, json.dumps(_run_facts(plan), indent=2) + "\n")
    for line in start_table(plan, supervisor.pids):
        supervisor.say(line)
    secrets.note_shown(plan.settings.data_dir)


def _split(table: tuple[ProcessSpec, ...]) -> tuple[list[ProcessSpec], list[ProcessSpec]]:
    return [spec for spec in table if spec.name in SERVERS], [spec for spec in table if spec.name not in SERVERS]


def call(name: str, current: settings.Settings) -> Any:
    """What the function of this name returns for these settings."""
    # What runs upward is a name in a string: the ground floor imports nothing that stands on it.
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)(current)


def _environment(complete: settings.Settings) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)}
    for field, value in complete:
        if value is None:
            continue
        text = (
            ",".join(value)
            if isinstance(value, tuple)
            else _revealed(value)
            if isinstance(value, SecretStr)
            else str(value)
        )
        environment[settings.PREFIX + field.upper()] = text
    environment[metrics.DIRECTORY_VARIABLE] = str(_metrics_folder(complete.data_dir))
    return environment


def _metrics_folder(data_dir: Path) -> Path:
    return data_dir / "metrics"


def _revealed(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()


def _run_facts(plan: Plan) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "api": settings.address(plan.settings.host, plan.settings.port),
        "flower": settings.address(plan.settings.flower_host, plan.settings.flower_port),
        "database_url": settings.plain_url(plan.settings.require_database_url()),
        "reporting_url": getattr(plan.stack.postgres, "reporting_url", None),
        "redis_url": plan.settings.require_redis_url(),
        "admin": {"username": "admin", "password": _revealed(plan.settings.admin_password)},
        "api_key": _revealed(plan.settings.source_key),
    }


def start_table(plan: Plan, pids: dict[str, int]) -> list[str]:
    """What a start says when all is ready: each process, where it is, and the way in."""
    facts = _run_facts(plan)
    where = {
        "web": f"{facts['api']}  (docs at /docs, webhook at /api/v1/alerts)",
        "flower": f"{facts['flower']}  (login: admin)",
        "postgres": f"127.0.0.1:{getattr(plan.stack.postgres, 'port', '')}",
        "redis": f"127.0.0.1:{getattr(plan.stack.redis, 'port', '')}",
    }
    lines = ["", f"{'process':20} {'pid':>8}  where"]
    lines += [f"{name:20} {pid:>8}  {where.get(name, '')}" for name, pid in pids.items()]
    warnings = [f"WRONG: {one.name}: {one.detail}" for one in findings(plan.settings) if one.is_wrong]
    lines += ["", *_way_in(plan, facts), *warnings, "", "ready; Ctrl-C stops everything in order"]
    return lines


def _way_in(plan: Plan, facts: dict[str, Any]) -> list[str]:
    shown = [f"{'admin login':20} admin / {facts['admin']['password']}", f"{'API key':20} {facts['api_key']}"]
    kept = " and ".join(word for word, name in _WAYS_IN.items() if name in plan.made)
    where = [f"{kept}: {plan.settings.data_dir / secrets.FILE}"] if kept else []
    # Commands look into the folder of the setting, and don't know of `--data`.
    if plan.settings.data_dir != settings.DEFAULT_DATA_DIR.resolve():
        where.append(f"other commands find this with SENSUS_DATA_DIR={shlex.quote(str(plan.settings.data_dir))}")
    return [*(shown if plan.is_first else []), *where]


def _start_demo(supervisor: Supervisor, plan: Plan) -> None:
    def work() -> None:
        facts = _run_facts(plan)
        try:
            demo.replay(facts["api"], facts["api_key"], supervisor.say)
        except SensusError as error:
            supervisor.say(str(error))

    _in_background(work)


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="demo", daemon=True).start()
