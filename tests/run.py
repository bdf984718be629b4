"""What `make test` does: the static checks, then the suite with branch coverage of every process."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
STATIC = (
    ("ruff", "check", "--quiet", "."),
    ("ruff", "format", "--quiet", "--check", "."),
    ("mypy",),
    ("lint-imports", "--config", "setup.cfg"),
)


def main() -> int:
    """Run everything; the exit code is that of the first thing that failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--static", action="store_true", help="only the static checks")
    arguments, chosen = parser.parse_known_args()
    for command in STATIC:
        if code := _run(command):
            return code
    if arguments.static:
        return 0
    # Else the first worker of each half would compile while a test waits for it.
    if code := _run(("python", "-m", "ml.warm")):
        return code
    for left in ROOT.glob(".coverage*"):
        left.unlink()
    # File by file, in order: the longest come first, and each half has servers of its own.
    halves = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
    if code := _run(("coverage", "run", "-m", "pytest", *halves, "--durations=15", *chosen)):
        return code
    if chosen:
        return 0  # Part of the suite can't reach the coverage of the whole.
    _run(("coverage", "combine", "--quiet"))
    return _run(("coverage", "report", "--format=total"), "branch coverage, percent:")


def _run(command: tuple[str, ...], title: str = "") -> int:
    began = time.monotonic()
    print(title or "$ " + " ".join(command), flush=True)
    code = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]], cwd=ROOT, check=False, env=_environment()
    ).returncode
    print(f"{'passed' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    return code


def _environment() -> dict[str, str]:
    # A setting of the developer's shell must not decide about a test.
    keep = {name: value for name, value in os.environ.items() if not name.startswith("SENSUS_")}
    # Hundreds of short commands are started; none should compile everything anew.
    keep.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**keep, "COVERAGE_PROCESS_START": str(ROOT / "setup.cfg")}


if __name__ == "__main__":
    sys.exit(main())
