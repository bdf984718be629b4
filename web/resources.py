"""What one process of the API holds: the settings, the database, Redis behind its guard, the background thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import redis
from flask import Flask, current_app

from db.session import Database
from sensus.breaker import Guard
from sensus.settings import Settings
from web.background import Background, Knocks

_EXTENSION = "sensus"
# Fewer tries than a worker makes: the sender waits, and tries again by itself.
_BACKOFF_S = (0.05, 0.2, 0.5)
_POOL_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Resources:
    """One set per application, hence per process.

    On the path of a request Redis is only called through `guard`, which costs 50 ms at most.
    """

    settings: Settings
    database: Database
    redis: redis.Redis
    guard: Guard
    background: Background

    def close(self) -> None:
        """Let go of every connection and thread."""
        self.background.close()
        self.guard.close()
        self.redis.close()
        self.database.close()


def open_resources(app: Flask, settings: Settings) -> Resources:
    """Make the resources of this application.  Nothing is connected yet, so a fork may still follow."""
    database = Database(
        settings.require_database_url(),
        direct_url=settings.direct_url(),
        application="sensus-web",
        backoff_s=_BACKOFF_S,
        pool_wait_s=_POOL_WAIT_S,
    )
    client = redis.Redis.from_url(
        settings.require_redis_url(),
        decode_responses=True,
        socket_timeout=1.0,
        socket_connect_timeout=1.0,
        health_check_interval=25,
    )
    opened = Resources(
        settings=settings,
        database=database,
        redis=client,
        guard=Guard("redis"),
        background=Background(database, client, _knocks),
    )
    app.extensions[_EXTENSION] = opened
    return opened


def resources() -> Resources:
    """The resources of the current application."""
    return cast(Resources, current_app.extensions[_EXTENSION])


def _knocks() -> Knocks:
    # Imported when first used: the module reads the settings of the process, which a test sets up first.
    from tasks import signatures

    return cast(Knocks, signatures)
