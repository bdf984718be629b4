"""An API that is killed in the middle of a burst."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.killing import a_killed_api_loses_nothing
from tests.stack import environment, sensus_up

pytestmark = pytest.mark.faults


def test_what_was_acknowledged_before_a_kill_is_stored(tmp_path: Path) -> None:
    with sensus_up(tmp_path / "data", env=environment(SENSUS_OLLAMA_URL="http://127.0.0.1:9")) as up:
        a_killed_api_loses_nothing(up, kills=2)
