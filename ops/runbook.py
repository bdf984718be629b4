"""Where do people find the runbook?  The address before the heading in the link of each alert.

    python -m ops.runbook https://git.example.org/ops/sensus/blob/main/docs/runbook.md

writes it into the rules and their tests; all else is made from those (`make runbook` does that too).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROMETHEUS = Path(__file__).parent / "prometheus"
_LINK = re.compile(r"(?<=runbook_url: )([^\s#]+)(?=#\w+$)", re.MULTILINE)
# What needs no quotes in YAML and means nothing to Prometheus' templates.
_ADDRESS = re.compile(r"[\w~./][\w~./:?&=%@+,-]*")


def main(words: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        usage="make runbook ARGS=ADDRESS", description="Say where people find docs/runbook.md."
    )
    parser.add_argument("address", type=_address, metavar="ADDRESS", help="without a heading; a path, or http(s)://...")
    move(parser.parse_args(words).address)
    return 0


def address(folder: Path = PROMETHEUS) -> str:
    """The address that the alerts of this folder have, without a heading.  Raises ValueError when they have several."""
    found = {link for path in _files(folder) for link in _LINK.findall(path.read_text("utf-8"))}
    if len(found) != 1:
        raise ValueError(f"links begin with several addresses, and should with one: {sorted(found)}")
    return str(found.pop())


def move(to: str, folder: Path = PROMETHEUS) -> None:
    """Write another address before the headings, in the rules of this folder and in their tests."""
    for path in _files(folder):
        path.write_text(_LINK.sub(to, path.read_text("utf-8")), "utf-8")


def _files(folder: Path) -> Iterator[Path]:
    yield folder / "rules" / "alerts.yml"
    yield from sorted((folder / "tests").glob("*.test.yml"))


def _address(word: str) -> str:
    if not _ADDRESS.fullmatch(word):
        raise argparse.ArgumentTypeError(f"{word!r} is no address that links can begin with")
    return word


if __name__ == "__main__":
    sys.exit(main())
