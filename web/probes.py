"""How are the servers around us?  Asked with a time limit each."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app
from prometheus_client import CollectorRegistry

from celery_config import QUEUES
from db.cli import tables_suffice
from sensus.breaker import Guard
from sensus.errors import Unavailable
from sensus.health import Check, Pings, Status, model_ping
from web.figures import Figures
from web.kept import KEPT_S, kept
from web.resources import Resources

_EXTENSION = "sensus_probes"
_LIMIT_S = 1.5
_WORKERS_PING_S = 1.0


class Probes:
    """The probes of one application; they share their answers for a few seconds.

    Each server is asked through a guard with few threads, because a server that hangs would otherwise
    hold more and more of them, until a healthy one is reported away.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._database = Guard("database", limit_s=_LIMIT_S, rest_s=0.5, threads=4)
        self._redis = Guard("redis", limit_s=_LIMIT_S, rest_s=0.5, threads=4)
        self._workers = Guard("workers", limit_s=_LIMIT_S, rest_s=KEPT_S, threads=2)
        settings = resources.settings
        self._ollama = kept(lambda: model_ping(settings))
        self._answering = kept(lambda: self._workers.call(_workers_ping))
        self._pings = Pings(
            {
                "database": lambda: self._database.call(resources.database.ping),
                "redis": lambda: self._redis.call(self._redis_ping),
                "workers": self._answering,
                "ollama": self._ollama,
            },
            needed=frozenset({"database"}),
        )
        self._figures = Figures(resources, ask_database=self._database.call, ask_redis=self._redis.call)

    def run(self) -> tuple[Status, dict[str, Check]]:
        """The verdict, and each check."""
        return self._pings.run()

    def not_ready(self) -> str | None:
        """Why no request can be served, or None.  Redis away is no reason: the rows are the truth."""
        try:
            suffice = self._database.call(lambda: tables_suffice(self._resources.database))
        except Unavailable as error:
            return str(error)
        return None if suffice else "the database is not at this release's revision: run `sensus db upgrade`"

    def gauges(self) -> CollectorRegistry:
        """Figures that are asked for when Prometheus scrapes; those of a server that is away are left out."""
        return self._figures.registry()

    def _redis_ping(self) -> str:
        self._resources.redis.ping()
        return f"Redis {self._resources.redis.info('server')['redis_version']}"


def install(app: Flask, resources: Resources) -> None:
    """Make the probes of this application."""
    app.extensions[_EXTENSION] = Probes(resources)


def probes() -> Probes:
    """The probes of the current application."""
    return cast(Probes, current_app.extensions[_EXTENSION])


def _workers_ping() -> str:
    # Imported when first used: the module reads the settings of the process.
    from tasks import signatures

    names = signatures.workers_answering(timeout_s=_WORKERS_PING_S)
    missing = [queue for queue in QUEUES if not any(name.startswith(f"{queue}@") for name in names)]
    # With as many answers as queues the rest is not waited for, so only fewer say that one is missing.
    if missing and len(names) < len(QUEUES):
        raise WorkersMissing(", ".join(missing))
    return ", ".join(names)


class WorkersMissing(Unavailable):
    """No worker of a queue answers; stored work waits for it."""
