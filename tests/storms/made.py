"""A made storm: incidents that spread along calls through a system of services, noise, flapping, and the truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

BEGIN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NOISE = -1

Labelling = Literal["service", "kubernetes", "job", "app_and_host", "mixed"]
GroupBy = Literal["alertname", "namespace", "service", "cluster_and_alertname", "alert", "none"]
_TEAMS = ("shop", "pay", "search", "media", "identity", "data", "edge", "ads")
_PARTS = (
    "gateway", "api", "cart", "checkout", "catalog", "orders", "billing", "ledger", "users", "sessions", "mailer",
    "recommender", "ranker", "indexer", "uploader", "resizer", "quota", "audit", "pricing", "stock", "shipping",
)  # fmt: skip
_STORES = ("postgres", "redis", "kafka", "mongo", "mysql")
_SYMPTOMS = ("HighErrorRate", "HighLatency", "ErrorBudgetBurn", "RequestQueueGrowing", "TimeoutsIncreasing")
_OF_PODS = ("PodCrashLooping", "PodNotReady", "HighMemoryUsage", "CPUThrottlingHigh", "HighLatency", "HighErrorRate")
_OF_STORES = ("ConnectionsExhausted", "SlowQueries", "ReplicationLag", "DiskAlmostFull", "HighLatency")
_NOISES = (
    "DiskWillFillSoon", "CertificateExpiresSoon", "BackupFailed", "CPUThrottlingHigh", "ClockSkew", "HighMemoryUsage",
    "NodeFilesystemInodes", "JobFailed", "HighLatency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """How the watched system and its alerts are made up."""

    labelling: Labelling = "service"
    group_by: GroupBy = "alertname"
    services: int = 150  # of which a fifth alerts; where half do, a call between two incidents is no rarity
    incidents: int = 5
    alerts: int = 300
    noise: float = 0.1
    flapping: float = 0.15
    minutes: float = 50.0
    one_namespace: bool = False  # for all, in place of one for each team
    mentions: float = 0.5  # how often a text names the service that it waits for
    topology: float = 1.0  # the share of calls that is known


@dataclass(frozen=True, slots=True)
class MadeAlert:
    """One message about an alert, and the incident that it is of in truth; NOISE is of none."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    group_key: str | None
    incident: int
    ends_at: datetime


@dataclass(slots=True)
class Storm:
    """Alerts in the order in which they arrive, and the calls that are known."""

    alerts: list[MadeAlert] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    runs_on: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Service:
    name: str
    team: str
    layer: int
    pods: list[tuple[str, str]]  # with their nodes
    callees: list[str] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    is_store: bool = False


def storm(seed: int, profile: Profile) -> Storm:
    """A storm, the same for the same seed and profile."""
    return _Maker(random.Random(f"{seed}/{profile}"), profile).make()


class _Maker:
    def __init__(self, rng: random.Random, profile: Profile) -> None:
        self._rng = rng
        self._profile = profile
        self._services: dict[str, _Service] = {}
        self._nodes = [f"ip-10-0-{n // 20}-{n % 20 + 10}" for n in range(max(6, profile.services // 3))]
        self._alerts: list[MadeAlert] = []

    def make(self) -> Storm:
        self._build()
        wanted = int(self._profile.alerts * (1 - self._profile.noise))
        shares = [self._rng.gammavariate(2.0, 1.0) for _ in range(self._profile.incidents)]
        taken: set[str] = set()
        for number, share in enumerate(shares):
            most = max(3, round(wanted * share / sum(shares)))
            began = BEGIN + timedelta(minutes=self._rng.uniform(0, self._profile.minutes * 0.6))
            self._spread(number, began, most, taken)
        number = len(shares)
        while len(self._alerts) < wanted and number < 3 * len(shares):
            began = BEGIN + timedelta(minutes=self._rng.uniform(0, self._profile.minutes * 0.6))
            self._spread(number, began, wanted - len(self._alerts), taken)
            number += 1
        while len(self._alerts) < self._profile.alerts:
            self._noise()
        self._flap()
        self._alerts.sort(key=lambda alert: alert.starts_at + timedelta(seconds=self._rng.uniform(0, 20)))
        edges = [(one.name, callee) for one in self._services.values() for callee in one.callees]
        known = [edge for edge in edges if self._rng.random() < self._profile.topology]
        places = sorted({(one.name, node) for one in self._services.values() for _, node in one.pods})
        return Storm(self._alerts, known, places if self._profile.topology else [])

    def _build(self) -> None:
        """Layers: edge, then services, then stores; calls go down, mostly within the team."""
        rng = self._rng
        teams = rng.sample(_TEAMS, k=min(len(_TEAMS), max(3, self._profile.services // 6)))
        names = [f"{team}-{part}" for team in teams for part in _PARTS]
        rng.shuffle(names)
        chosen = names[: self._profile.services]
        self._add("frontend", teams[0], 0)
        for name in chosen:
            self._add(name, name.split("-")[0], rng.choice((1, 1, 2, 2, 3)))
        for team in teams:
            self._add(f"{team}-{rng.choice(_STORES)}", team, 4, is_store=True)
        for one in self._services.values():
            above = [other for other in self._services.values() if other.layer == one.layer - 1]
            above = above or [other for other in self._services.values() if other.layer < one.layer]
            own = [other for other in above if other.team == one.team]
            for _ in range(0 if not above else rng.choice((1, 2, 2, 3))):
                caller = rng.choice(own if own and rng.random() < 0.85 else above)
                if one.name not in caller.callees:
                    caller.callees.append(one.name)
                    one.callers.append(caller.name)

    def _add(self, name: str, team: str, layer: int, *, is_store: bool = False) -> None:
        pods = []
        for number in range(self._rng.choice((1, 2, 3, 4))):
            tail = "".join(self._rng.choices("bcdf0123456789", k=5))
            suffix = str(number) if is_store else f"{self._rng.randrange(16**9, 16**10):x}-{tail}"
            pods.append((f"{name}-{suffix}", self._rng.choice(self._nodes)))
        self._services[name] = _Service(name, team, layer, pods, is_store=is_store)

    def _spread(self, number: int, began: datetime, most: int, taken: set[str]) -> None:
        """An incident: a broken service or node, and the callers that suffer, later and less the further they are."""
        rng = self._rng
        free = [one for one in self._services.values() if one.name not in taken and one.layer]
        first = len(self._alerts)
        if not free:
            return
        root = rng.choice(free)
        broken: dict[str, datetime] = {}
        node = None
        # What fails with a node can be told only where a label or the topology says what runs on it.
        shows_nodes = self._profile.topology or self._profile.labelling in ("kubernetes", "app_and_host")
        if shows_nodes and rng.random() < 0.2:
            node = rng.choice(root.pods)[1]
            self._of_node(number, node, began)
            for one in self._services.values():
                if any(where == node for _, where in one.pods) and one.name not in taken and len(broken) < 6:
                    broken[one.name] = began + timedelta(seconds=rng.uniform(20, 120))
        else:
            broken[root.name] = began
        causes = dict.fromkeys(broken, "")
        queue = list(broken)
        while queue and len(broken) < 10:
            name = queue.pop(0)
            for caller in self._services[name].callers:
                if caller in broken or caller in taken or rng.random() > 0.75:
                    continue
                broken[caller] = broken[name] + timedelta(seconds=rng.expovariate(1 / 90.0))
                causes[caller] = name
                queue.append(caller)
        taken.update(broken)
        # Each service's alerts in an order of their own; one after the other, so that all services have a few.
        waiting = {
            name: self._of_service(self._services[name], None if causes[name] else node)
            for name in sorted(broken, key=lambda name: broken[name])
        }
        rounds = 0
        while any(waiting.values()) and len(self._alerts) - first < most:
            for name, kinds in waiting.items():
                if kinds and len(self._alerts) - first < most:
                    alert, pod, where = kinds.pop()
                    late = rng.expovariate(1 / 60.0) + rng.uniform(0, 60.0 * min(rounds, 12))
                    at = broken[name] + timedelta(seconds=late)
                    self._put(number, alert, self._services[name], pod, where, at, causes[name])
            rounds += 1

    def _of_node(self, number: int, node: str, at: datetime) -> None:
        for name in ("NodeNotReady", "NodeUnreachable"):
            self._put(number, name, None, None, node, at + timedelta(seconds=self._rng.uniform(0, 40)), "")

    def _of_service(self, one: _Service, on_node: str | None) -> list[tuple[str, str | None, str]]:
        """What may fire there, each with its pod: those of the whole service have none."""
        pods = [each for each in one.pods if on_node in (None, each[1])]
        found: list[tuple[str, str | None, str]] = [
            (name, pod, where) for name in (_OF_STORES if one.is_store else _OF_PODS) for pod, where in pods
        ]
        if not one.is_store and on_node is None:
            found += [(name, None, one.pods[0][1]) for name in _SYMPTOMS]
        self._rng.shuffle(found)
        return found

    def _noise(self) -> None:
        rng = self._rng
        one = rng.choice(list(self._services.values()))
        at = BEGIN + timedelta(minutes=rng.uniform(0, self._profile.minutes))
        pod, node = rng.choice(one.pods)
        if rng.random() < 0.4:
            self._put(NOISE, rng.choice(_NOISES), None, None, rng.choice(self._nodes), at, "")
        else:
            self._put(NOISE, rng.choice(_NOISES), one, pod, node, at, "")

    def _flap(self) -> None:
        """Some end and fire again, as a new episode, up to three times."""
        for alert in list(self._alerts):
            if self._rng.random() > self._profile.flapping:
                continue
            at = alert.ends_at
            for _ in range(self._rng.choice((1, 1, 2, 3))):
                at += timedelta(seconds=self._rng.uniform(60, 400))
                ends = at + timedelta(seconds=self._rng.uniform(60, 300))
                self._alerts.append(
                    MadeAlert(alert.labels, alert.annotations, at, alert.group_key, alert.incident, ends)
                )
                at = ends

    def _put(
        self, number: int, name: str, one: _Service | None, pod: str | None, node: str, at: datetime, cause: str
    ) -> None:
        labels = self._labels(name, one, pod, node)
        said = f"{name} on {one.name if one else node}"
        if cause and self._rng.random() < self._profile.mentions:
            said += f": calls to {cause} fail"
        ends = at + timedelta(seconds=self._rng.uniform(120, 2400))
        at = at.replace(microsecond=self._rng.randrange(1000) * 1000)
        self._alerts.append(MadeAlert(labels, {"summary": said}, at, self._group(labels), number, ends))

    def _labels(self, name: str, one: _Service | None, pod: str | None, node: str) -> dict[str, str]:
        severity = self._rng.choice(("critical", "warning", "warning"))
        labels = {"alertname": name, "severity": severity, "cluster": "prod-eu", "prometheus": "monitoring/main"}
        if one is None:
            return {**labels, "instance": f"{node}:9100", "job": "node-exporter", "namespace": "monitoring"}
        namespace = "prod" if self._profile.one_namespace else one.team
        how: Labelling = self._profile.labelling
        if how == "mixed":
            how = self._rng.choice(("service", "kubernetes", "job"))
        makers: dict[str, Callable[[], dict[str, str]]] = {
            "service": lambda: {"service": one.name, "namespace": namespace, **({"instance": pod} if pod else {})},
            "kubernetes": lambda: {
                "namespace": namespace,
                **({"pod": pod, "container": "main", "node": node} if pod else {"deployment": one.name}),
            },
            "job": lambda: {"job": one.name, **({"instance": f"{pod}:8080"} if pod else {})},
            "app_and_host": lambda: {"app": one.name, "env": "production", **({"host": node} if pod else {})},
        }
        return {**labels, **makers[how]()}

    def _group(self, labels: dict[str, str]) -> str | None:
        by: dict[GroupBy, tuple[str, ...]] = {
            "alertname": ("alertname",),
            "namespace": ("namespace",),
            "service": ("service", "app", "job", "deployment"),
            "cluster_and_alertname": ("cluster", "alertname"),
            "alert": tuple(labels),
            "none": (),
        }
        names = by[self._profile.group_by]
        inside = ", ".join(f'{name}="{labels[name]}"' for name in names if name in labels)
        return f"{{}}/{{}}:{{{inside}}}"


def as_message(alert: MadeAlert, *, resolved: bool = False) -> dict[str, Any]:
    """The alert as Alertmanager sends it."""
    return {
        "status": "resolved" if resolved else "firing",
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at.isoformat().replace("+00:00", "Z"),
        "endsAt": alert.ends_at.isoformat().replace("+00:00", "Z") if resolved else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
    }
