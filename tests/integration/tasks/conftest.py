"""Workers' code in the test's own process, on the test's own database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from db.session import Database
from sensus.settings import Settings
from tests.integration.tasks.made import store_samples

Put = Callable[..., int]


@pytest.fixture
def worker(settings: Settings) -> Iterator[Settings]:
    """This process is a worker of the test's database for the time of the test."""
    from tasks import analysis, meaning, resources

    # What a model server did to the test before is nothing to this one.
    analysis._breakers.clear()
    meaning._breakers.clear()
    resources._opened[os.getpid()] = resources.open_resources(settings)
    yield settings
    resources.close_resources()


@pytest.fixture
def change(worker: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes settings of this worker until the end of the test: `change(runbooks=folder)`."""
    from tasks import resources

    def changed(**values: Any) -> None:
        there = resources._opened[os.getpid()]
        settings = there.settings.model_copy(update=values)
        new = resources.Resources(settings, there.database, there.redis)
        monkeypatch.setitem(resources._opened, os.getpid(), new)

    return changed


@pytest.fixture
def put(database: Database) -> Put:
    """Stores samples as ingest does: `put([(at, value), ...], name="cpu")`; the id of the series."""

    def store(rows: Sequence[tuple[datetime, float]], name: str = "cpu", **labels: str) -> int:
        return store_samples(database, rows, name, labels)

    return store


@dataclass
class Sent:
    """Messages that were sent, as (task, arguments)."""

    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def of(self, task: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in self.messages if name.endswith(f".{task}")]


@pytest.fixture
def sent(worker: Settings, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What is sent to workers goes here instead of to the broker."""
    from tasks import signatures

    box = Sent()
    monkeypatch.setattr(signatures, "_send", lambda task, **arguments: box.messages.append((task, arguments)))
    return box
