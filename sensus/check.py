"""`sensus check`: the settings with their sources, and whether each server that they name is there."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import psycopg
import redis

from sensus import health, settings
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
    current = settings.of_running_stack(settings.load())
    for origin in settings.origins(current):
        print(f"{origin.name:32} {origin.value or '-':24} ({origin.source})")
    _, checks = health.Pings(_pings(current), needed=NEEDED).run()
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
        database_url = current.require_database_url().replace("postgresql+psycopg://", "postgresql://", 1)
        pings["database"] = lambda: _postgres(database_url)
    if current.redis_url is not None:
        pings["redis"] = lambda: _redis(current.require_redis_url())
    urls = current.alertmanager_urls()
    for number, url in enumerate(urls, 1):
        name = "alertmanager" if len(urls) == 1 else f"alertmanager {number}"
        pings[name] = partial(health.alertmanager_ping, url)
    return pings


def _understood(target: Target) -> str:
    if service(target.url) is None:
        return "WRONG: Apprise does not understand this URL; https://appriseit.com shows how it is written"
    return "ok: Apprise understands the URL; `sensus notify test` sends to it"


def _postgres(url: str) -> str:
    with psycopg.connect(url, connect_timeout=2) as connection:
        return f"PostgreSQL {connection.info.parameter_status('server_version')}"


def _redis(url: str) -> str:
    with redis.Redis.from_url(url, socket_timeout=1.5, socket_connect_timeout=1.5) as client:
        client.ping()
    return "answers"
