"""The benchmarks, as small as they get: that they measure and count, not how fast this machine is."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from bench import ingest
from tests import benchmarks
from tests.stack import SENSUS, environment
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_quick_run_measures_everything_and_loses_nothing() -> None:
    found = benchmarks.figures("--quick", "--filled", "500")

    names = [name for name in ingest.names() if name != "bytes_per_sample"]
    assert set(found) == {*names, *(f"{name}_filled" for name in names), "bytes_per_sample"}
    benchmarks.nothing_is_lost(found)
    for name, line in found.items():
        assert line["value"] > 0, line
        assert all(value > 0 for fact, value in line.items() if fact.startswith("ratio_")), line
        if line["unit"].endswith("/s"):
            assert line["acknowledged"] > 0
            assert line["p50_ms"] <= line["p95_ms"] <= line["p99_ms"]
            assert line["app_cpu_ms_per_item"] > 0
            assert ("ratio_to_empty" if name.endswith("_filled") else "ratio_to_bare") in line


def test_an_unknown_figure_is_wrong_usage() -> None:
    done = subprocess.run([*SENSUS, "bench", "ingest", "--only", "luck"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "alerts_50" in done.stderr


def test_nothing_is_left_when_it_is_stopped(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*SENSUS, "bench", "ingest", "--only", "alerts_1"],
        env={**environment(), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_for(lambda: list(tmp_path.glob("sensus-bench-*/postgres")), "its servers start", timeout_s=60)
    assert process.stderr is not None
    while b"warming up" not in (line := process.stderr.readline()):
        assert line, "it ended before it measured"

    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not list(tmp_path.iterdir())
