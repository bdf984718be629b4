"""Debian's Alertmanager for tests: started, told of alerts, restarted, stopped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from sensus import times
from sensus.runtime import ports
from tests.waiting import wait_for

NOBODY = "http://127.0.0.1:9"  # a port on which nobody listens


class Alertmanager:
    """One Alertmanager on a free port for the time of a `with` block.

    Its webhooks go to the API at `api`; without one they fail, as if that were down.
    """

    def __init__(
        self,
        folder: Path,
        *,
        api: str = NOBODY,
        key: str = "",
        resolve_timeout: str = "5m",
        external_url: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.began = times.now() - timedelta(minutes=1)  # the start of alerts
        port = ports.choose(0, "a test")
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self._log = folder / "alertmanager.log"
        self._process: subprocess.Popen[bytes] | None = None
        config = folder / "alertmanager.yml"
        config.write_text(json.dumps(_config(api, key, resolve_timeout)))
        self._command = [
            "prometheus-alertmanager",
            f"--config.file={config}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
            *([f"--web.external-url={external_url}", "--web.route-prefix=/"] if external_url else []),
        ]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._is_ready, f"the Alertmanager, whose log is {self._log}")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(20)

    def restart(self) -> None:
        """Stop and start; it then knows its silences and no alert."""
        self.stop()
        self.start()

    def tell(
        self, labels: Mapping[str, str], *, fires_s: float | None = None, starts_at: datetime | None = None
    ) -> None:
        """Say that an alert fires: for so long, below 0 that it is over, None until the resolve timeout."""
        alert: dict[str, Any] = {
            "labels": dict(labels),
            "annotations": {"summary": "told by a test"},
            "startsAt": times.isoformat(starts_at or self.began),
        }
        if fires_s is not None:
            alert["endsAt"] = times.isoformat(times.now() + timedelta(seconds=fires_s))
        httpx.post(f"{self.url}/api/v2/alerts", json=[alert]).raise_for_status()

    def silence(self, name: str, value: str) -> None:
        """Silence what has this label."""
        now = times.now()
        matcher = {"name": name, "value": value, "isRegex": False, "isEqual": True}
        silence = {
            "matchers": [matcher],
            "startsAt": times.isoformat(now),
            "endsAt": times.isoformat(now + timedelta(hours=1)),
            "createdBy": "a test",
            "comment": "quiet",
        }
        httpx.post(f"{self.url}/api/v2/silences", json=silence).raise_for_status()

    def listed(self) -> list[dict[str, Any]]:
        """What its API lists."""
        answer = httpx.get(f"{self.url}/api/v2/alerts")
        answer.raise_for_status()
        alerts: list[dict[str, Any]] = answer.json()
        return alerts

    def wait_until_listed(self, name: str, is_listed: bool = True, *, timeout_s: float = 30.0) -> None:
        wait_for(
            lambda: any(alert["labels"]["alertname"] == name for alert in self.listed()) == is_listed,
            f"{name} is {'' if is_listed else 'no longer '}listed",
            timeout_s=timeout_s,
        )

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).is_success
        except httpx.HTTPError:
            return False


def _config(api: str, key: str, resolve_timeout: str) -> dict[str, Any]:
    webhook = {
        "url": f"{api}/api/v1/alerts",
        "send_resolved": True,
        "http_config": {"authorization": {"credentials": key or "none"}},
    }
    return {
        "global": {"resolve_timeout": resolve_timeout},
        "route": {
            "receiver": "sensus",
            "group_by": ["..."],
            "group_wait": "1s",
            "group_interval": "2s",
            "repeat_interval": "1h",
            "routes": [{"receiver": "elsewhere", "matchers": ['team="other"']}],
        },
        "receivers": [{"name": "sensus", "webhook_configs": [webhook]}, {"name": "elsewhere"}],
        "inhibit_rules": [
            {"source_matchers": ['severity="critical"'], "target_matchers": ['severity="warning"'], "equal": ["site"]}
        ],
    }
