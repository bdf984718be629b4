"""`sensus rootcause`: rank the suspects of cases in files, without any server."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sensus.errors import ConfigurationError
from tasks import case_folder


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `sensus rootcause`."""
    parser.add_argument(
        "--input", type=Path, required=True, metavar="DIR", help="folder with metrics/<case>/ and changes/<case>/"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="where the suspects of each case go, as JSON; the attribution of changes goes beside it, to .changes.json",
    )


def run(arguments: argparse.Namespace) -> int:
    """Rank every case under the folder."""
    found = case_folder.find(arguments.input)
    told = _Progress(len(found.metrics) + len(found.changes))
    suspects: dict[str, Any] = {}
    for case in found.metrics:
        name, ranked = case_folder.suspects(case)
        suspects[name] = ranked
        told.one(case.name)
    attributed: dict[str, Any] = {}
    for scenario in found.changes:
        attributed[scenario.name] = case_folder.attribution(scenario)
        told.one(scenario.name)
    told.end()
    _write(arguments.output, suspects)
    if found.changes:
        _write(arguments.output.with_suffix(".changes.json"), attributed)
    return 0


class _Progress:
    """One line that is written over on a terminal, a line each otherwise."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._is_terminal = sys.stderr.isatty()

    def one(self, name: str) -> None:
        self._done += 1
        told = f"{self._done} of {self._total}: {name}"
        print(f"\r\x1b[K{told}" if self._is_terminal else told, end="" if self._is_terminal else "\n", file=sys.stderr)

    def end(self) -> None:
        if self._is_terminal:
            print(file=sys.stderr)


def _write(path: Path, answers: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answers, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None
    print(f"{len(answers)} answers in {path}")
