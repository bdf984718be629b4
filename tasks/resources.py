"""What each worker process has open: settings, the database, Redis."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import redis

from db.session import Database
from sensus import settings
from sensus.settings import Settings

_SOCKET_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Resources:
    """Opened at the first use in a process, and never handed to another one."""

    settings: Settings
    database: Database
    redis: redis.Redis

    def close(self) -> None:
        """Let go of every connection."""
        self.redis.close()
        self.database.close()


_opened: dict[int, Resources] = {}


def resources() -> Resources:
    """What this process has open.  Raises ConfigurationError when a setting is missing."""
    # By process id, because a forked child that used its parent's connections would read the parent's replies.
    if (there := _opened.get(os.getpid())) is None:
        there = _opened[os.getpid()] = open_resources(settings.current())
    return there


def open_resources(current: Settings) -> Resources:
    """Connections as these settings say; none is made before it is needed."""
    return Resources(
        settings=current,
        database=Database(
            current.require_database_url(),
            direct_url=current.direct_url(),
            application=f"sensus-worker@{socket.gethostname()}",
        ),
        redis=redis.Redis.from_url(
            current.require_redis_url(),
            decode_responses=True,
            socket_timeout=_SOCKET_TIMEOUT_S,
            socket_connect_timeout=_SOCKET_TIMEOUT_S,
        ),
    )


def close_resources() -> None:
    """Close what this process opened, if anything."""
    there = _opened.pop(os.getpid(), None)
    if there is not None:
        there.close()
