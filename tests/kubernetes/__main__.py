"""`make package-check`: what `make test` asks of the manifests, and then a scanner; a missing tool fails it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kubernetes.manifests import KUBECTL, OVERLAYS, ROOT, overlay

CHECKOV = ROOT / ".venv" / "package" / "bin" / "checkov"
SUITE = ("tests/kubernetes", "tests/agreement/test_kubernetes.py")
# What the scanner would have otherwise, and why it is not so.
ACCEPTED = {
    "CKV_K8S_15": "an image is asked for by its version, which is never pushed again; a registry that is away must not "
    "keep a pod from starting where its image is at hand",
    "CKV_K8S_43": "a digest is that of the registry from which somebody pulls; an overlay sets it",
}
# The images of others have users of their own.
ACCEPTED_OF_SERVERS = {"CKV_K8S_40": "the data of PostgreSQL and Redis belong to the users of their images"}
SERVERS = ("StatefulSet.sensus.postgres", "StatefulSet.sensus.redis")
FEWEST_CHECKS = 500


def main() -> int:
    """Everything; the exit code."""
    missing = [str(path) for path in (KUBECTL, CHECKOV) if not path.exists()]
    if missing:
        sys.stdout.write(f"FAILED: missing: {', '.join(missing)}\n")
        return 1
    environment = {**os.environ, "TESTS_NO_SKIP": "1"}
    code = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *SUITE], cwd=ROOT, env=environment, check=False
    ).returncode
    if code:
        return code
    failed = [line for name in OVERLAYS for line in _scanned(name)]
    sys.stdout.write("\n".join(failed) + "\nFAILED\n" if failed else "package-check passed\n")
    return 1 if failed else 0


def _scanned(name: str) -> list[str]:
    """What the scanner finds in an overlay, a line each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_text(overlay(name).text)
        words = ("--framework", "kubernetes", "--skip-download", "--output", "json", "--soft-fail", "--file", str(file))
        done = subprocess.run([CHECKOV, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"{name}: the scanner ended with {done.returncode}: {done.stderr[-500:]}"]
    report = json.loads(done.stdout)
    summary, findings = report["summary"], report["results"]["failed_checks"]
    # A scanner that could not read what it was given finds nothing wrong with it.
    if summary["parsing_errors"] or summary["skipped"] or summary["passed"] < FEWEST_CHECKS:
        return [f"{name}: the scanner did not do its work: {summary}"]
    sys.stdout.write(f"{name}: {summary['passed']} checks passed, {len(ACCEPTED)} kinds accepted with a reason\n")
    return [
        f"{name}: {finding['resource']}: {finding['check_id']} {finding['check_name']}"
        for finding in findings
        if finding["check_id"] not in ACCEPTED
        and not (finding["check_id"] in ACCEPTED_OF_SERVERS and finding["resource"] in SERVERS)
    ]


if __name__ == "__main__":
    sys.exit(main())
