"""`sensus check`: the settings with their sources, and whether each server that they name is there."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sensus import health, servers, settings
from sensus.targets import Target, service, targets

# Without these nothing works; without the others something is poorer.
NEEDED = frozenset({"database", "redis"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of something that is set; `detail` names the setting when it is wrong."""

    name: str
    is_wrong: bool
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments: everything comes from the settings."""
    parser.description = (
        "Validate the settings and every server that they name, a line each; exit 1 when something needed is missing, "
        "or something is wrong."
    )


def run(_arguments: argparse.Namespace) -> int:
    """Print a line for each setting and each server."""
    read = settings.load()
    current = settings.of_running_stack(read)
    for origin in settings.origins(current):
        print(f"{origin.name:32} {origin.value or '-':24} ({origin.source})")
    _, checks = health.Pings(_pings(current), needed=NEEDED, told=partial(_away, read)).run()
    for name, check in checks.items():
        state = "ok: " if check.ok else "MISSING: " if name in NEEDED else ""
        print(f"{name:32} {state}{check.detail}")
    for name in sorted(NEEDED - checks.keys()):
        print(f"{name:32} {current.unset()}")
    found = list(findings(current))
    for one in found:
        print(f"{one.name:32} {'WRONG' if one.is_wrong else 'ok'}: {one.detail}")
    is_missing = any(not check.ok for name, check in checks.items() if name in NEEDED)
    return 1 if is_missing or any(one.is_wrong for one in found) else 0


def findings(current: settings.Settings) -> Iterator[Finding]:
    """Whether what is set beside the servers can work, without asking anybody."""
    for target in targets(current.notification_urls()):
        yield _understood(target)
    if current.runbooks is not None:
        yield _readable(current.runbooks)


def _pings(current: settings.Settings) -> dict[str, Callable[[], str]]:
    pings: dict[str, Callable[[], str]] = {"ollama": lambda: health.model_ping(current)}
    if current.database_url is not None:
        pings["database"] = lambda: servers.ping_database(current.require_database_url(), timeout_s=2)
    if current.redis_url is not None:
        pings["redis"] = lambda: servers.ping_redis(current.require_redis_url(), timeout_s=1.5)
    urls = current.alertmanager_urls()
    for number, url in enumerate(urls, 1):
        name = "alertmanager" if len(urls) == 1 else f"alertmanager {number}"
        pings[name] = partial(health.alertmanager_ping, url)
    return pings


def _understood(target: Target) -> Finding:
    name = f"notify {target.name}"
    if service(target.url) is None:
        how = "https://appriseit.com shows how it is written"
        return Finding(name, True, f"Apprise does not understand this URL of SENSUS_NOTIFY_URLS; {how}")
    return Finding(name, False, "Apprise understands the URL; `sensus notify test` sends to it")


def _readable(folder: Path) -> Finding:
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return Finding("runbooks", False, f"{folder.resolve()} is there")
    return Finding("runbooks", True, f"SENSUS_RUNBOOKS: {folder.resolve()} is no folder that this user can read")


def _away(read: settings.Settings, name: str, error: BaseException) -> str:
    where = {"database": servers.name_of_database, "redis": servers.name_of_redis}
    if name in where and isinstance(error, servers.FAILURES):
        return servers.why(where[name](read), error)
    return health.away(name, error)
