"""Did a scanner look at everything, and find nothing?  `python -m tests.package.reports KIND REPORT REQUIREMENTS`.

A scanner that left something out ends well all the same; its report tells.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True)
class Findings:
    """What a report says: the releases that were looked at, weaknesses, and what was left out with the reason."""

    seen: frozenset[str]
    weaknesses: tuple[str, ...]
    skipped: tuple[str, ...]


def pinned(requirements: str) -> frozenset[str]:
    """The names that a compiled file of requirements pins for this interpreter and system."""
    lines = re.findall(r"^[A-Za-z0-9][^#\\\n]*", requirements, re.MULTILINE)
    read = [Requirement(line.strip()) for line in lines]
    return frozenset(canonicalize_name(r.name) for r in read if r.marker is None or r.marker.evaluate())


def pip_audit(report: Mapping[str, Any]) -> Findings:
    """Of `pip-audit --format json`."""
    entries = report["dependencies"]
    looked_at = [entry for entry in entries if "skip_reason" not in entry]
    return Findings(
        seen=frozenset(canonicalize_name(entry["name"]) for entry in looked_at),
        weaknesses=tuple(
            f"{entry['name']} {entry['version']}: {each['id']}" for entry in looked_at for each in entry["vulns"]
        ),
        skipped=tuple(f"{entry['name']}: {entry['skip_reason']}" for entry in entries if "skip_reason" in entry),
    )


def trivy(report: Mapping[str, Any]) -> Findings:
    """Of `trivy image --list-all-pkgs --format json`."""
    results = report.get("Results") or []
    packages = _each(results, "Packages", of_class="lang-pkgs")
    system = list(_each(results, "Packages", of_class="os-pkgs"))
    return Findings(
        seen=frozenset(canonicalize_name(package["Name"]) for package in packages),
        weaknesses=tuple(
            f"{each['PkgName']} {each['InstalledVersion']}: {each['VulnerabilityID']}"
            for each in _each(results, "Vulnerabilities")
        ),
        skipped=() if system else ("the packages of the system",),
    )


def _each(results: Iterable[Mapping[str, Any]], what: str, of_class: str | None = None) -> Iterable[Mapping[str, Any]]:
    return (each for result in results if of_class in (None, result["Class"]) for each in result.get(what) or [])


KINDS: Mapping[str, Callable[[Mapping[str, Any]], Findings]] = {"pip-audit": pip_audit, "trivy": trivy}


def judge(found: Findings, wanted: frozenset[str]) -> list[str]:
    """What is wrong, each in a line; empty when everything was looked at and is well."""
    unseen = sorted(wanted - found.seen)
    lines = [f"weak: {each}" for each in found.weaknesses]
    lines += [f"skipped: {each}" for each in found.skipped]
    lines += [f"not looked at: {', '.join(unseen)}"] if unseen else []
    return lines


def main() -> int:
    """The exit code: 0 when everything was looked at and is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.package.reports", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("report", type=Path)
    parser.add_argument("requirements", type=Path)
    arguments = parser.parse_args()
    wanted = pinned(arguments.requirements.read_text("utf-8"))
    found = KINDS[arguments.kind](json.loads(arguments.report.read_text("utf-8")))
    wrong = judge(found, wanted)
    sys.stdout.write("\n".join(wrong or [f"{len(found.seen)} releases looked at, all well"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
