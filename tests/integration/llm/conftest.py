"""A stand-in for Ollama on a free port, in the play that a test asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.ollama_server import OllamaServer

Serve = Callable[..., OllamaServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server: `serve("503,normal")`; all are stopped after the test."""
    with ExitStack() as stack:

        def start(play: str = "normal", **options: Any) -> OllamaServer:
            return stack.enter_context(OllamaServer(play=play, **options))

        yield start
