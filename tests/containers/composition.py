"""The composition on an engine of its own: it comes up in order, does the main job, stops, and comes up again.

Runs in namespaces of its own: `python -m tests.containers.composition FOLDER`, where FOLDER has the images and a copy
of the Compose file with what it mounts.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from sensus import times
from tests import scenarios
from tests.containers import images, smoke
from tests.containers.engine import engine, inspected
from tests.containers.tools import CheckFailed, environment, run, step
from tests.scenarios import DATA
from tests.stack import Up
from tests.waiting import wait_for

OURS = ("api", "worker-anomaly", "worker-llm", "worker-maintenance", "beat", "flower")
ONE_SHOT = "prepare"
PROMETHEUS = "http://127.0.0.1:9090"
ALERTMANAGER = "http://127.0.0.1:9093"
TLS = "https://localhost:8443"
# Figures that must have come out of each exporter and each of our processes, as queries that give something above 0.
FIGURES = (
    "sum(sensus_alerts_received_total)",
    'sum(sensus_samples_scored_total{job="sensus-workers"})',
    "sum(sensus_analyses_total)",
    'count(sensus_process_resident_memory_bytes{process="worker-llm"})',
    'count(sensus_process_resident_memory_bytes{process="beat"})',
    # Workers and beat know the limits of their containers, which are at most 2 GiB.
    'count(sensus_memory_limit_bytes{job="sensus-workers"} <= 2147483648) == 4',
    "pg_up",
    "redis_up",
    "redis_key_size or redis_memory_max_bytes",
    "sum(celery_worker_up)",
    "sum(celery_task_succeeded_total)",
)
Environment = Mapping[str, str]


class Composition:
    """The running composition and the way to it."""

    def __init__(self, project: Path, env: Environment, services: list[str]) -> None:
        self.project = project
        self.env = env
        self.services = services

    def compose(self, *words: str) -> str:
        """What a command of Compose prints."""
        return run("docker-compose", "--project-name=sensus", "--profile=tls", *words, env=self.env, cwd=self.project)

    def container(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        return inspected(self.env, self.compose("ps", "--quiet", "--all", service).split()[0])

    def up(self) -> Up:
        """The composition as the scenarios know a stack; the database is asked by its address, for it has no port."""
        address = self.container("postgres")["NetworkSettings"]["Networks"]["sensus_data"]["IPAddress"]
        password = (self.project / "secrets/database_password").read_text().strip()
        return smoke.stack(self.project, database_url=f"postgresql://sensus:{password}@{address}:5432/sensus")

    def start(self) -> None:
        """Bring it up, and wait until everything that has a health check is well."""
        self.compose("up", "--detach", "--no-build", *self.services)
        for service in self.services:
            wait_for(lambda service=service: self._is_well(service), f"{service} is well", timeout_s=240, every_s=1)

    def _is_well(self, service: str) -> bool:
        state = self.container(service)["State"]
        if service == ONE_SHOT:
            return bool(state["Status"] == "exited" and state["ExitCode"] == 0)
        if state["Status"] not in ("running", "created"):
            log = self.compose("logs", "--no-color", "--tail=30", service)
            raise CheckFailed(f"{service} is {state['Status']}:\n{log}")
        return bool(state["Running"] and state.get("Health", {}).get("Status", "healthy") == "healthy")


def main() -> int:
    """Everything, in order; the exit code."""
    folder = Path(sys.argv[1])
    with engine(folder, environment(folder)) as env:
        composed = images.composition(env)
        services = [name for name in composed["services"] if name not in images.UNTRIED]
        there = Composition(folder / "sensus", env, services)
        try:
            with step("Docker takes the images"):
                # What an earlier run left in this folder was made with other secrets.
                there.compose("down", "--volumes", "--remove-orphans", "--timeout=1")
                run("docker", "load", "--quiet", f"--input={folder / 'images.tar'}", env=env)
                run("docker", "image", "prune", "--force", env=env)
            _check(there, folder)
        except (AssertionError, CheckFailed, httpx.HTTPError) as error:
            sys.stdout.write(f"FAILED: {error}\n{_last_words(there)}\n")
            return 1
        finally:
            subprocess.run(["docker", "kill", *_ids(env)], env=env, capture_output=True, check=False)
    return 0


def _check(there: Composition, folder: Path) -> None:
    with step("the composition comes up, each service after what it needs"):
        there.start()
        up = there.up()
    smoke.main_job(up)
    with step("samples are scored, as `sensus score` scores them") as told:
        series = DATA / "series" / "Twitter_volume_AAPL.csv"
        told.append(scenarios.live_equals_offline(up, series, folder / "score", batch=500, kill=False, twice=False))
    with step("Prometheus reads everybody's figures") as told:
        told.append(_figures())
    with step("an alert comes through Alertmanager") as told:
        told.append(_through_alertmanager(up))
    with step("nginx serves the API by TLS") as told:
        told.append(_through_tls(there, up))
    with step("containers can do no more than they must") as told:
        told.append(_confined(there))
    before = _stored(up)
    with step("everything stops in time, and by itself") as told:
        told.append(_stopped(there))
    with step("it comes up again with all that was stored") as told:
        there.start()
        after = _stored(there.up())
        assert after == before, f"before the stop {before}, after it {after}"
        told.append(f"{len(after[0])} alerts, {after[1]} samples")
    with step("nothing is left behind"):
        there.compose("down", "--volumes", "--timeout=20")


def _figures() -> str:
    def down() -> list[str]:
        active = httpx.get(f"{PROMETHEUS}/api/v1/targets").json()["data"]["activeTargets"]
        # Flower's figures are an alternative to the exporter's; both are here.
        return [target["scrapeUrl"] for target in active if target["health"] != "up"] if active else ["no target"]

    wait_for(lambda: not down(), "every target of Prometheus is up", timeout_s=90, every_s=2)
    for figure in FIGURES:
        wait_for(lambda figure=figure: _value(figure) > 0, f"{figure} is above 0", timeout_s=60, every_s=2)
    rules = httpx.get(f"{PROMETHEUS}/api/v1/rules").json()["data"]["groups"]
    ill = [rule["name"] for group in rules for rule in group["rules"] if rule["health"] == "err"]
    assert not ill, f"rules that fail: {ill}"
    targets = len(httpx.get(f"{PROMETHEUS}/api/v1/targets").json()["data"]["activeTargets"])
    return f"{targets} targets up, {len(FIGURES)} figures above 0, {sum(len(g['rules']) for g in rules)} rules well"


def _value(query: str) -> float:
    result = httpx.get(f"{PROMETHEUS}/api/v1/query", params={"query": query}).json()["data"]["result"]
    return max((float(each["value"][1]) for each in result), default=0.0)


def _through_alertmanager(up: Up) -> str:
    name = f"FromAlertmanager{time.time_ns()}"
    alert = {"labels": {"alertname": name, "severity": "warning"}, "startsAt": times.isoformat(times.now())}
    httpx.post(f"{ALERTMANAGER}/api/v2/alerts", json=[alert]).raise_for_status()
    began = time.monotonic()
    with up.client() as client:
        wait_for(lambda: scenarios.all_alerts(client, alert_name=name), "the alert is stored", timeout_s=90, every_s=1)
    return f"stored after {time.monotonic() - began:.0f} s"


def _through_tls(there: Composition, up: Up) -> str:
    trusted = ssl.create_default_context(cafile=str(there.project / "secrets" / "tls_certificate"))
    with httpx.Client(base_url=TLS, verify=trusted, timeout=30) as client:
        assert client.get("/health/live").json() == {"status": "ok"}
        for hidden in ("/metrics", "/health", "/health/ready"):
            assert client.get(hidden).status_code == 404, hidden
        body = scenarios.captures()[0]
        key = {"Authorization": f"Bearer {up.facts['api_key']}"}
        assert client.post("/api/v1/alerts", json=body, headers=key).status_code == 202
        # Who asks through the proxy is known by its own address; what it claims of itself is not believed.
        login = (up.facts["admin"]["username"], up.facts["admin"]["password"])
        claimed = {"X-Forwarded-For": "203.0.113.7"}
        token = client.post("/api/v1/auth/token", auth=login, headers=claimed).raise_for_status().json()["access_token"]
        answer = client.get("/api/v1/audit", headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    entry = answer.json()["items"][0]
    seen = str(entry["client_address"])
    gateway = there.container("nginx")["NetworkSettings"]["Networks"]["sensus_door"]["Gateway"]
    assert seen == gateway, f"the audit entry says {seen}, the client is {gateway}: {json.dumps(entry)}"
    return "certificate valid, figures hidden, a webhook taken, the client's own address in the audit log"


def _confined(there: Composition) -> str:
    for service in there.services:
        facts = there.container(service)
        host = facts["HostConfig"]
        assert host["ReadonlyRootfs"], f"{service} may write to its root"
        assert (host["CapDrop"], host["CapAdd"] or []) == (["ALL"], []), f"{service} has {host['CapAdd']}"
        assert any("no-new-privileges" in option for option in host["SecurityOpt"]), service
        limits = [host["Memory"], host["NanoCpus"], host["PidsLimit"]]
        assert all(limit > 0 for limit in limits), f"{service} has no limits: {limits}"
        assert facts["RestartCount"] == 0, f"{service} was restarted {facts['RestartCount']} times"
        variables = [each for each in facts["Config"]["Env"] if _is_secret(there, each.partition("=")[2])]
        assert not variables, f"{service} has a secret in its environment: {variables}"
        if service != ONE_SHOT:
            status = Path(f"/proc/{facts['State']['Pid']}/status").read_text()
            ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
            assert "0" not in ids, f"{service} is root"
    try:
        # nginx, because its image has curl. Its code for a name that nobody knows is 6, or 28 where a resolver asks
        # on and hears nothing; PostgreSQL would answer at once, with 52.
        there.compose("exec", "-T", "nginx", "curl", "--silent", "--max-time", "3", "http://postgres:5432")
    except CheckFailed as refused:
        told = str(refused)
        assert "ended with 6:" in told or "ended with 28:" in told, told
    else:
        raise AssertionError("nginx reaches the database")
    return "root file systems closed, no capabilities, nobody is root, limits set, the database out of nginx' reach"


def _is_secret(there: Composition, value: str) -> bool:
    return any(value and value == path.read_text().strip() for path in (there.project / "secrets").iterdir())


def _stopped(there: Composition) -> str:
    took = {}
    for service in (*OURS, *(name for name in reversed(there.services) if name not in (*OURS, ONE_SHOT))):
        began = time.monotonic()
        there.compose("stop", service)
        took[service] = time.monotonic() - began
        code = there.container(service)["State"]["ExitCode"]
        # 143 is the shell's word for SIGTERM, which the programs of others may end by; 137 would be SIGKILL.
        assert code == 0 or (service not in OURS and code == 143), f"{service} ended with {code}"
    slowest = max(took, key=lambda name: took[name])
    return f"no process had to be killed, the slowest ({slowest}) took {took[slowest]:.1f} s"


def _stored(up: Up) -> tuple[list[tuple[int, str]], int]:
    """What nobody but this check sends: the composition's own alerts come and go."""
    with up.client() as client:
        alerts = [(alert["id"], alert["status"]) for alert in scenarios.captured_alerts(client)]
    return alerts, int(scenarios.snapshot(up)["samples"])


def _last_words(there: Composition) -> str:
    try:
        return there.compose("ps") + "\n" + there.compose("logs", "--no-color", "--tail=15")[-12_000:]
    except CheckFailed as error:
        return str(error)


def _ids(env: Environment) -> list[str]:
    return run("docker", "ps", "--quiet", env=env).split()


if __name__ == "__main__":
    sys.exit(main())
