"""`sensus check`: the settings with their sources, and whether each server that they name is there."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from sensus import health, servers, settings
from sensus.targets import Target, service, targets

# Without these nothing works; without the others something is poorer.
NEEDED = frozenset({"database", "redis"})


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments: everything comes from the settings."""
    parser.description = (
        "Validate the settings and every server that they name, a line each; exit 1 when something needed is missing."
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
    for target in targets(current.notification_urls()):
        print(f"{f'notify {target.name}':32} {_understood(target)}")
    return 1 if any(not check.ok for name, check in checks.items() if name in NEEDED) else 0


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


def _understood(target: Target) -> str:
    if service(target.url) is None:
        return "WRONG: Apprise does not understand this URL; https://appriseit.com shows how it is written"
    return "ok: Apprise understands the URL; `sensus notify test` sends to it"


def _away(read: settings.Settings, name: str, error: BaseException) -> str:
    where = {"database": servers.name_of_database, "redis": servers.name_of_redis}
    if name in where and isinstance(error, servers.FAILURES):
        return servers.why(where[name](read), error)
    return f"away ({type(error).__name__})"
