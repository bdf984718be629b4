"""What the code of an image imports is in the requirements that the image installs."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.package.reports import pinned

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("sensus", "db", "ml", "llm", "tasks", "web")
# What the API runs: `tasks` lies in its image whole, for it has the one door to the workers.
OF_THE_API = (
    *(path for package in ("sensus", "db", "web") for path in sorted((ROOT / package).rglob("*.py"))),
    ROOT / "tasks/__init__.py",
    ROOT / "tasks/app.py",
    ROOT / "tasks/signatures.py",
    ROOT / "celery_config.py",
)
OF_THE_WORKERS = (*(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))), *OF_THE_API[-1:])
NOT_INSTALLED = {
    "apprise": "workers send with it; `sensus check` asks it where the URLs are, which is with the workers",
}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@cache
def _owners() -> dict[str, set[str]]:
    return {
        name: {canonicalize_name(each) for each in distributions}
        for name, distributions in importlib.metadata.packages_distributions().items()
    }


def _distributions(paths: tuple[Path, ...]) -> dict[str, set[str]]:
    """By imported name from outside: the distributions that bring it."""
    ours = {*PACKAGES, "bench", "celery_config"}
    tops = {name.split(".")[0] for path in paths for name in _imported(path)}
    outside = {name for name in tops if name not in ours and name not in sys.stdlib_module_names}
    return {name: _owners().get(name, set()) for name in outside}


@pytest.mark.parametrize(("name", "paths"), [("web", OF_THE_API), ("worker", OF_THE_WORKERS)])
def test_an_image_installs_what_its_code_imports(name: str, paths: tuple[Path, ...]) -> None:
    there = pinned((ROOT / f"requirements/{name}.txt").read_text("utf-8"))
    imported = _distributions(paths)
    assert len(imported) > 10
    missing = {
        top: brought for top, brought in imported.items() if not brought & there and not brought & set(NOT_INSTALLED)
    }
    # What is imported nowhere any more needs no reason to be missing.
    assert set(NOT_INSTALLED) <= set().union(*imported.values())
    assert missing == {}, f"add what brings these to requirements/{name}.in, then `make lock`"


def test_every_library_is_the_same_release_in_each_image_and_on_the_machine_of_a_developer() -> None:
    # Several releases in one file are for several Pythons.
    releases: dict[str, set[frozenset[str]]] = {}
    for name in ("base", "web", "worker", "dev"):
        text = (ROOT / f"requirements/{name}.txt").read_text("utf-8")
        found: dict[str, set[str]] = {}
        for library, release in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", text, re.MULTILINE):
            found.setdefault(canonicalize_name(library), set()).add(release)
        for library, several in found.items():
            releases.setdefault(library, set()).add(frozenset(several))
    assert len(releases) > 50
    assert {library: found for library, found in releases.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.in")), ids=lambda path: path.stem)
def test_every_file_of_requirements_is_locked_with_hashes(path: Path) -> None:
    lines = path.with_suffix(".txt").read_text("utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z0-9]", line)]
    assert starts
    for number in starts:
        assert lines[number].endswith("\\"), lines[number]
        assert lines[number + 1].startswith("    --hash=sha256:"), lines[number]
