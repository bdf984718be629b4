"""One `sensus up` for all tests of a file: it ends with them, and takes no processor from others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import scenarios
from tests.ollama_server import OllamaServer
from tests.stack import Up, environment, sensus_up


@pytest.fixture(scope="module")
def model() -> Iterator[OllamaServer]:
    with OllamaServer(models=("llama2:latest",)) as server:
        yield server


@pytest.fixture(scope="module")
def up(model: OllamaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("e2e")
    with sensus_up(folder / "data", env=environment(SENSUS_OLLAMA_URL=model.url)) as running:
        yield running


@pytest.fixture(scope="session")
def series() -> Path:
    """The first 1,500 rows of a series of the Numenta Anomaly Benchmark, MIT licence."""
    return scenarios.DATA / "series" / "Twitter_volume_AAPL.csv"
