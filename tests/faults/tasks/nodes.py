"""Nodes of pytest-celery that are processes of this machine instead of Docker containers."""

from __future__ import annotations

from typing import Any

from pytest_celery import CeleryTestContainer

from tests.faults.tasks.worker import Worker
from tests.servers import RunningServer


class ProcessNode(CeleryTestContainer):
    """What pytest-celery asks of a container, answered by a process."""

    def __init__(self, name: str) -> None:
        # The parent's own beginning would look for a Docker container.
        self._name = name

    @property
    def id(self) -> str:
        return self._name

    @property
    def name(self) -> str:
        return self._name

    @property
    def status(self) -> str:
        return "running" if self.ready() else "exited"

    def reload(self) -> None:
        """A process has no state elsewhere that could be out of date."""

    def remove(self, **_: Any) -> None:
        self.teardown()


class BrokerProcess(ProcessNode):
    """The Redis of the test."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__("broker")
        self._server = server

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return {"url": self._server.url, "host_url": self._server.url}

    def ready(self) -> bool:
        return self._server.server.ready()

    def logs(self, **_: Any) -> str:
        return self._server.log()

    def kill(self, signal: str | int = "SIGKILL") -> None:
        self._server.kill()

    def restart(self, timeout: float = 10.0) -> None:
        if self.ready():
            self._server.stop()
        self._server.start()

    def teardown(self) -> None:
        """The server belongs to the fixture that started it."""


class WorkerProcess(ProcessNode):
    """A real worker of one queue."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(f"{worker.queue}-worker")
        self._worker = worker

    @property
    def celeryconfig(self) -> dict[str, Any]:
        return {}

    @classmethod
    def worker_name(cls) -> str:
        return "anomaly"

    def ready(self) -> bool:
        return self._worker.is_running

    def logs(self, **_: Any) -> str:
        return self._worker.log()

    def kill(self, signal: str | int = "SIGKILL") -> None:
        self._worker.kill()

    def restart(self, timeout: float = 10.0) -> None:
        self._worker.kill()
        self._worker.start()

    def teardown(self) -> None:
        self._worker.kill()
