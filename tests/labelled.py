"""How good is detection on series that people labelled?  `sensus score`, judged by the evaluator of the shared data."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from ml.threshold import DEFAULT_POLICY
from tests.stack import SENSUS, environment

LEAST_NAB = 58.0
MOST_FALSE_ALARMS = 0.15
LEAST_VUS_PR = {"nab": 0.38, "msft": 0.70, "smd": 0.40, "asd": 0.35}
# The evaluator reads tables with pandas, which nothing of ours needs.
_WITH_PANDAS = ("uv", "run", "--no-project", "--with", "numpy", "--with", "pandas", "python")


class Labelled:
    """The development suites, each scored once; `shared` is the folder of data and tools."""

    def __init__(self, shared: Path, folder: Path) -> None:
        self._data = shared / "data" / "detection" / "dev"
        self._evaluator = shared / "tools" / "evaluate_detection.py"
        self._folder = folder
        self._scores = cache(self._scored)

    def ranks(self, suite: str) -> str:
        """The score stream ranks what is labelled above the rest."""
        found = self._judged(suite, "score")["vus_pr"]
        told = f"VUS-PR {found:.3f}, at least {LEAST_VUS_PR[suite]:.2f}"
        assert found >= LEAST_VUS_PR[suite], told
        return told

    def pages(self) -> str:
        """The alert stream at its one threshold has the points of NAB, with few false alarms."""
        found = self._judged("nab", "alert", f"--threshold={DEFAULT_POLICY.threshold}")
        told = f"NAB {found['nab']:.1f}, {found['false_alarms']:.3f} false alarms a series-week at 60 % recall"
        assert found["nab"] >= LEAST_NAB, told
        assert found["false_alarms"] <= MOST_FALSE_ALARMS, told
        return told

    def _judged(self, suite: str, stream: str, *options: str) -> dict[str, Any]:
        figures = self._folder / f"{suite}-{stream}.json"
        subprocess.run(
            [
                *(*_WITH_PANDAS, str(self._evaluator), "--data", str(self._data / suite)),
                *("--scores", str(self._scores(suite)), "--column", stream, "--json", str(figures), *options),
            ],
            check=True,
            capture_output=True,
        )
        found: dict[str, Any] = json.loads(figures.read_text())["ALL"]
        return found

    def _scored(self, suite: str) -> Path:
        out = self._folder / "scores" / suite
        subprocess.run(
            [*SENSUS, "score", "--input", str(self._data / suite), "--output", str(out), "--retrain", "never"],
            env=environment(),
            check=True,
            capture_output=True,
        )
        return out
