"""`make package-check`: every file that ships the product past the tools that know its kind, none left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.manifests import OVERLAYS, overlay
from tests.package import hardening, reports

ROOT = Path(__file__).parent.parent.parent
TOOLS = ROOT / ".venv/package/bin"
# What looks like a secret and is none, as it stands in the texts.
NO_SECRETS = r"user:password@|SECRETS_FILE = |_PASSWORDS = |automountServiceAccountToken: false"
# Sets of requirements that are installed somewhere: an image, or a machine of a user.
SHIPPED = ("base", "web", "worker", "celery-exporter")


class Fault(Exception):
    """A tool found something, or is missing; the message is what it said."""


def main() -> int:
    """Every check, also after one that failed; the exit code."""
    checks: Sequence[tuple[str, Callable[[], str]]] = (
        ("Dockerfile, by hadolint", _dockerfile),
        ("composition, by its schema", _composition),
        ("manifests, by schemas and by what they say of each other", _manifests),
        ("manifests, by checkov", _hardening),
        ("workflows and Dependabot, by their schemas", _workflow_schemas),
        ("workflows, by zizmor", _workflow_security),
        ("scripts, and those in workflows, by shellcheck", _scripts),
        ("no secret in a file, by detect-secrets", _secrets),
        ("lists of what is in the images, by CycloneDX", _bills),
    )
    failed = 0
    for name, check in checks:
        began = time.monotonic()
        try:
            told, word = check(), "ok"
        except Fault as fault:
            told, word = f"\n{fault}", "FAILED"
            failed += 1
        sys.stdout.write(f"{word}: {name}: {told} ({time.monotonic() - began:.0f} s)\n")
        sys.stdout.flush()
    return 1 if failed else 0


def _dockerfile() -> str:
    _tool("hadolint", "ops/docker/Dockerfile")
    return "1 file"


def _composition() -> str:
    _tool("check-jsonschema", "--builtin-schema=vendor.compose-spec", "docker-compose.yml")
    return "1 file"


def _manifests() -> str:
    suite = ("tests/kubernetes", "tests/agreement/test_kubernetes.py")
    words = [sys.executable, "-m", "pytest", "-q", *suite]
    environment = {**os.environ, "TESTS_NO_SKIP": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(done.stdout + done.stderr)
    return f"{', '.join(OVERLAYS)}: {done.stdout.strip().splitlines()[-1]}"


def _hardening() -> str:
    told, found = [], []
    for name in OVERLAYS:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(overlay(name).text)
            file.flush()
            words = ("--framework=kubernetes", "--skip-download", "--soft-fail", "--output=json", f"--file={file.name}")
            report = json.loads(_tool("checkov", *words))
        passed, faults = hardening.judge(report)
        told.append(f"{name} {passed}")
        found += [f"{name}: {fault}" for fault in faults]
    if found:
        raise Fault("\n".join(found))
    return f"checks passed: {', '.join(told)}"


def _workflow_schemas() -> str:
    workflows = _files(".github/workflows/*.yml")
    _tool("check-jsonschema", "--builtin-schema=vendor.github-workflows", *workflows)
    _tool("check-jsonschema", "--builtin-schema=vendor.dependabot", ".github/dependabot.yml")
    return f"{len(workflows) + 1} files"


def _workflow_security() -> str:
    _tool("zizmor", "--offline", "--no-progress", "--quiet", ".github")
    return "no finding"


def _scripts() -> str:
    scripts = [*_files("*.sh"), *_files(".ci/*")]
    _tool("shellcheck", *scripts)
    steps = [step for path in _files(".github/workflows/*.yml") for step in _run_steps(path)]
    for step in steps:
        _tool("shellcheck", "--shell=bash", "-", given=step)
    return f"{len(scripts)} files, {len(steps)} steps"


def _run_steps(workflow: str) -> Iterator[str]:
    """The scripts of a workflow, with a word in place of each expression that GitHub fills in."""
    read: dict[str, Any] = yaml.safe_load((ROOT / workflow).read_text("utf-8"))
    for job in read["jobs"].values():
        for step in job.get("steps", ()):
            if "run" in step:
                if "${{" in step["run"]:
                    raise Fault(f"{workflow}: an expression inside a script; hand it over in `env`: {step['run']}")
                yield step["run"]


def _secrets() -> str:
    # Hashes of requirements and captured webhooks are as random as secrets are.
    files = [name for name in _files("*") if not name.startswith(("requirements/", "tests/", "docs/"))]
    found = json.loads(_tool("detect-secrets", "scan", f"--exclude-lines={NO_SECRETS}", *files))["results"]
    if found:
        raise Fault(
            "\n".join(f"{each['filename']}:{each['line_number']}: {each['type']}" for f in found.values() for each in f)
        )
    return f"{len(files)} files"


def _bills() -> str:
    told = []
    for name in SHIPPED:
        requirements = f"requirements/{name}.txt"
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            _tool("cyclonedx-py", "requirements", requirements, "--output-reproducible", "--validate", "-o", file.name)
            components = json.loads(Path(file.name).read_text("utf-8"))["components"]
        wanted = reports.pinned((ROOT / requirements).read_text("utf-8"))
        missing = wanted - {reports.canonicalize_name(each["name"]) for each in components}
        if missing:
            raise Fault(f"the list of {name} lacks {sorted(missing)}")
        told.append(f"{name} {len(components)}")
    return ", ".join(told)


def _files(pattern: str) -> list[str]:
    """The files of the repository that match, and those that are to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if not listed:
        raise Fault(f"no file matches {pattern}")
    return [name for name in listed if (ROOT / name).is_file()]


def _tool(name: str, *arguments: str, given: str | None = None) -> str:
    """What a tool prints.  Raises Fault when it finds something, or is not there."""
    program = TOOLS / name
    if not program.exists():
        raise Fault(f"{name} is missing: make .venv/.package")
    done = subprocess.run(
        [str(program), *arguments], cwd=ROOT, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Fault(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
