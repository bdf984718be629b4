"""Is it known how to ask what runs in a container, at next to no cost?"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sensus.errors import ConfigurationError, Unavailable
from sensus.runtime import probe, probes


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a container."""
    monkeypatch.setenv("SENSUS_DATA_DIR", str(tmp_path))
    return tmp_path


def asked(*, alive: bool = False) -> int:
    """The exit code of `sensus probe`."""
    return probe.run(argparse.Namespace(name=None, alive=alive))


def test_a_pulse_is_found_without_any_setting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pulse = folder / "pulse"
    probe.keep(folder, "beat", {"ready": probes.Pulse(pulse)})
    with pytest.raises(Unavailable, match="beat is not ready"):
        asked()
    pulse.touch()
    assert asked() == 0
    assert capsys.readouterr().out == "beat is ready\n"


def test_an_old_pulse_is_none(folder: Path) -> None:
    pulse = folder / "pulse"
    pulse.touch()
    os.utime(pulse, (0, 0))
    assert not probes.Pulse(pulse)()


def test_each_state_has_its_own_question(folder: Path) -> None:
    there, gone = folder / "there", folder / "gone"
    there.touch()
    probe.keep(folder, "beat", {"ready": probes.Pulse(gone), "alive": probes.Pulse(there)})
    assert asked(alive=True) == 0
    with pytest.raises(Unavailable):
        asked()


def test_an_address_is_kept_as_it_is(folder: Path) -> None:
    probe.keep(folder, "web", {"ready": probes.Http("::1", 8080, "/health/ready"), "alive": None})
    kept = json.loads((folder / "process").read_text())
    assert kept == {"name": "web", "ready": {"host": "::1", "port": 8080, "path": "/health/ready"}, "alive": None}


def test_a_question_that_needs_a_secret_is_not_kept(folder: Path) -> None:
    probe.keep(folder, "worker-llm", {"ready": lambda: probes.worker_answers("redis://:secret@redis", "llm@host")})
    assert json.loads((folder / "process").read_text()) == {"name": "worker-llm", "ready": None}


@pytest.mark.parametrize("content", ["", "web", "[]", "{}", '{"name": "postgres"}', '"web"'])
def test_a_file_that_somebody_else_wrote_is_one_line(folder: Path, content: str) -> None:
    (folder / "process").write_text(content)
    with pytest.raises(ConfigurationError, match="names no process; remove it"):
        asked()


def test_asking_loads_nothing_that_takes_time() -> None:
    heavy = "{'celery', 'redis', 'pydantic', 'psycopg', 'httpx', 'prometheus_client', 'structlog'}"
    code = f"import sys, sensus.cli, sensus.runtime.probe; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
