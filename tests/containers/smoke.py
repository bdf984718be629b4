"""The main job, on a composition that is up: alerts in, each of them analysed.  `python -m tests.containers.smoke`.

It needs no engine, only the published port of the API and the secrets beside the Compose file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx

from tests import scenarios
from tests.containers.tools import ROOT, step
from tests.stack import Up
from tests.waiting import wait_for

API = "http://127.0.0.1:8080"


def stack(project: Path, **more: str) -> Up:
    """The composition of that folder as the scenarios know a stack."""

    def secret(name: str) -> str:
        return (project / "secrets" / name).read_text().strip()

    admin = {"username": "admin", "password": secret("admin_password")}
    facts: dict[str, Any] = {"api": API, "admin": admin, "api_key": secret("source_key"), **more}
    nobody: Any = None
    return Up(nobody, facts, project / "log", project, 0.0)


def main_job(up: Up) -> None:
    """Post what a real Alertmanager sent, and see each firing alert analysed."""
    with step("captured webhooks, twice") as told:
        told.append(scenarios.captured_webhooks_become_ten_alerts(up))
    with step("every firing alert is analysed") as told:
        told.append(scenarios.firing_alerts_are_analysed(up, outcome="evidence_only", within_s=60))


def main() -> int:
    """The exit code: 0 when the job is done."""
    with step("the API is ready"):
        wait_for(_is_ready, "the API is ready", timeout_s=120, every_s=1)
    main_job(stack(ROOT))
    return 0


def _is_ready() -> bool:
    try:
        return httpx.get(f"{API}/health/ready", timeout=5).is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(main())
