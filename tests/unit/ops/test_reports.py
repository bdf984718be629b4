"""Does a scanner's report count as good only when everything was looked at?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.package import reports

REQUIREMENTS = """\
# by `make lock`
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
Flask==3.1.3 \\
    --hash=sha256:01 \\
    --hash=sha256:02
    # via sensus
psycopg[binary]==3.3.9 \\
    --hash=sha256:03
"""


def audit(*entries: dict[str, Any]) -> dict[str, Any]:
    """A report of pip-audit."""
    return {"dependencies": list(entries), "fixes": []}


def image(*results: dict[str, Any]) -> dict[str, Any]:
    """A report of Trivy on an image with the packages of a system."""
    return {"Results": [{"Class": "os-pkgs", "Packages": [{"Name": "libc6"}]}, *results]}


def well(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": []}


def test_what_this_system_needs_is_wanted_and_nothing_else() -> None:
    assert reports.pinned(REQUIREMENTS) == {"flask", "psycopg"}


def test_a_full_and_clean_report_is_good() -> None:
    found = reports.pip_audit(audit(well("flask"), well("psycopg")))
    assert reports.judge(found, frozenset({"flask", "psycopg"})) == []


def test_a_report_that_skipped_something_is_not_good() -> None:
    skipped = {"name": "psycopg", "skip_reason": "Dependency not found on PyPI"}
    lines = reports.judge(reports.pip_audit(audit(well("flask"), skipped)), frozenset({"flask", "psycopg"}))
    assert lines == ["skipped: psycopg: Dependency not found on PyPI", "not looked at: psycopg"]


def test_a_known_weakness_is_told() -> None:
    weak = {"name": "flask", "version": "0.1", "vulns": [{"id": "PYSEC-1"}]}
    assert reports.judge(reports.pip_audit(audit(weak)), frozenset({"flask"})) == ["weak: flask 0.1: PYSEC-1"]


def test_an_image_is_looked_at_with_the_packages_of_its_system() -> None:
    ours = {"Class": "lang-pkgs", "Packages": [{"Name": "Flask"}, {"Name": "psycopg"}]}
    wanted = frozenset({"flask", "psycopg"})
    assert reports.judge(reports.trivy(image(ours)), wanted) == []
    assert reports.judge(reports.trivy({"Results": [ours]}), wanted) == ["skipped: the packages of the system"]
    assert reports.judge(reports.trivy({}), wanted)[-1] == "not looked at: flask, psycopg"


def test_a_weakness_of_the_system_counts_as_well() -> None:
    weak = {"PkgName": "libc6", "InstalledVersion": "2.36", "VulnerabilityID": "CVE-1"}
    found = reports.trivy(image({"Class": "os-pkgs", "Packages": [], "Vulnerabilities": [weak]}))
    assert reports.judge(found, frozenset()) == ["weak: libc6 2.36: CVE-1"]


@given(st.sets(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1), st.data())
def test_whatever_is_left_out_is_named(names: set[str], data: st.DataObject) -> None:
    left_out = data.draw(st.sampled_from(sorted(names)))
    found = reports.pip_audit(audit(*(well(name) for name in names - {left_out})))
    assert reports.judge(found, frozenset(names)) == [f"not looked at: {left_out}"]


@pytest.mark.parametrize(("names", "code"), [(("flask", "psycopg"), 0), (("flask",), 1)])
def test_its_exit_code_says_whether_all_is_well(tmp_path: Path, names: tuple[str, ...], code: int) -> None:
    (tmp_path / "report.json").write_text(json.dumps(audit(*map(well, names))))
    (tmp_path / "web.txt").write_text(REQUIREMENTS)
    words = ("pip-audit", str(tmp_path / "report.json"), str(tmp_path / "web.txt"))
    done = subprocess.run([sys.executable, "-m", "tests.package.reports", *words], check=False, capture_output=True)
    assert done.returncode == code, done
