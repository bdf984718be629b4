"""What does a release need?  One version in all places that name it, and its notes out of the changelog.

    python ops/release.py prepare 0.2.0    writes the version, and gives what is unreleased in the changelog its heading
    python ops/release.py notes 0.2.0      prints the notes of that version, if it is the one that the code has

Needs nothing but Python: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHANGELOG = "CHANGELOG.md"
_VERSION = r"\d+\.\d+\.\d+"
# `sensus.__version__` is the version; the others can't read it, and a test holds them to it.
_HOME = ("sensus/__init__.py", rf'(?<=__version__ = "){_VERSION}')
_COPIES = (
    ("docker-compose.yml", rf"(?<=image: sensus-web:){_VERSION}"),
    ("docker-compose.yml", rf"(?<=image: sensus-worker:){_VERSION}"),
    ("docker-compose.yml", rf"(?<=image: sensus-celery-exporter:){_VERSION}"),
    ("docker-compose.yml", rf"(?<= VERSION: ){_VERSION}"),
    ("ops/kubernetes/base/kustomization.yaml", rf"(?<=newTag: ){_VERSION}"),
    ("ops/kubernetes/components/monitoring/kustomization.yaml", rf"(?<=newTag: ){_VERSION}"),
    # A name has no dots.
    ("ops/kubernetes/base/prepare.yaml", r"(?<=name: prepare-)\d+-\d+-\d+"),
)


class NotReady(Exception):
    """The release can't be made; the message says what is missing."""


def main(words: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 something is missing, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Prepare a release, or print its notes.")
    parser.add_argument("work", choices=("prepare", "notes"))
    parser.add_argument("version", type=_version, metavar="VERSION")
    arguments = parser.parse_args(words)
    try:
        if arguments.work == "prepare":
            prepare(ROOT, arguments.version, datetime.now(UTC).date())
        else:
            sys.stdout.write(notes(ROOT, arguments.version))
    except NotReady as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    return 0


def prepare(root: Path, version: str, on: date) -> None:
    """Write the version wherever it stands, and date what is unreleased.

    Raises NotReady before anything is written.
    """
    changelog = (root / CHANGELOG).read_text("utf-8")
    if not _section(changelog, "Unreleased"):
        raise NotReady(f"nothing is unreleased in {CHANGELOG}")
    if _order(version) <= _order(written(root)[0]):
        raise NotReady(f"{version} is no later than {written(root)[0]}, which the code has")
    for name, pattern in (_HOME, *_COPIES):
        path = root / name
        path.write_text(re.sub(pattern, partial(_spelt, version), path.read_text("utf-8")), "utf-8")
    heading = "## [Unreleased]\n"
    (root / CHANGELOG).write_text(changelog.replace(heading, f"{heading}\n## [{version}] - {on}\n", 1), "utf-8")


def notes(root: Path, version: str) -> str:
    """What the changelog says of that version.

    Raises NotReady when the code is another, or the changelog does not know it.
    """
    strange = sorted(set(written(root)) - {version})
    if strange:
        raise NotReady(f"the code is {', '.join(strange)}; first: python ops/release.py prepare {version}")
    section = _section((root / CHANGELOG).read_text("utf-8"), version)
    if not section:
        raise NotReady(f"{CHANGELOG} says nothing of {version}")
    return section + "\n"


def written(root: Path) -> list[str]:
    """The version as it stands in each place, that of the code first.  Raises NotReady where a place has none."""
    found = []
    for name, pattern in (_HOME, *_COPIES):
        there = re.findall(pattern, (root / name).read_text("utf-8"))
        if not there:
            raise NotReady(f"{name} has no version where {pattern} looks for it")
        found += [each.replace("-", ".") for each in there]
    return found


def _spelt(version: str, there: re.Match[str]) -> str:
    return version.replace(".", "-") if "-" in there.group() else version


def _section(changelog: str, name: str) -> str:
    found = re.search(rf"^## \[{re.escape(name)}\].*\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _version(word: str) -> str:
    if not re.fullmatch(_VERSION, word):
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form 1.2.3")
    return word


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    sys.exit(main())
