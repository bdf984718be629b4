"""Each component is killed: its alert fires, people are told, and it is over after its return."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from celery import Celery

from sensus import times
from tests import factories
from tests.ops import loop
from tests.ops.stack import KEY, Stack
from tests.waiting import wait_for

FIRES_WITHIN_S = 90.0
OVER_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Outage:
    """What is done, which alerts it makes, and how it is undone."""

    name: str
    alerts: tuple[str, ...]
    begin: Callable[[Stack], None]
    end: Callable[[Stack], None]
    meanwhile: Callable[[Stack], None] = lambda stack: None  # what goes on until its alerts fire
    is_told: bool = True  # whether there is an Alertmanager to hear of it


def _of_program(name: str, *alerts: str) -> Outage:
    return Outage(
        f"{name} killed", alerts, lambda stack: stack.programs[name].kill(), lambda stack: stack.programs[name].start()
    )


def _stall(stack: Stack) -> None:
    # Alive and deaf, as after a lost connection; and something waits for it.
    stack.programs["worker-llm"].pause()
    with Celery(broker=stack.servers.redis_url) as sender:
        sender.send_task("tasks.analysis.analyse", kwargs={"analysis_id": 0}, queue="llm", expires=600)


def _redis_away(stack: Stack) -> None:
    stack.servers.redis.kill()
    # An entry that waits for Redis, for the audit stream.
    _post_sample(stack)


def _grouping_away(stack: Stack) -> None:
    stack.programs["worker-maintenance"].kill()
    _post(stack, "alerts", factories.alertmanager_webhook([factories.alert("Ungrouped", starts_at=times.now())]))


def _nobody_to_tell(stack: Stack) -> None:
    stack.programs["alertmanager"].kill()
    loop.another_spike(stack)


def _post_sample(stack: Stack) -> None:
    sample = {"metric_name": "outage_probe", "metric_value": 1.0, "timestamp": times.isoformat(times.now())}
    _post(stack, "metrics", sample)


def _post(stack: Stack, what: str, body: object) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    httpx.post(f"{stack.api}/api/v1/{what}", json=body, headers=headers, timeout=30).raise_for_status()


OUTAGES = (
    _of_program("web", "CollectorDown"),
    Outage(
        "worker-anomaly killed",
        ("AIServiceDown", "ScoringBehind", "TargetDown"),
        lambda stack: stack.programs["worker-anomaly"].kill(),
        lambda stack: stack.programs["worker-anomaly"].start(),
        # A feed that goes on, as feeds do: the newest sample is never old.
        meanwhile=_post_sample,
    ),
    _of_program("worker-llm", "AIServiceDown"),
    Outage(
        "worker-maintenance killed",
        ("AIServiceDown", "GroupingBehind"),
        _grouping_away,
        lambda stack: stack.programs["worker-maintenance"].start(),
    ),
    _of_program("beat", "BeatStopped"),
    _of_program("flower", "TargetDown"),
    _of_program("celery-exporter", "TargetDown"),
    _of_program("postgres-exporter", "PostgreSQLDown"),
    _of_program("redis-exporter", "RedisDown"),
    _of_program("blackbox-exporter", "TargetDown"),
    Outage(
        "PostgreSQL killed",
        ("PostgreSQLDown",),
        lambda stack: stack.servers.postgres.kill(),
        lambda stack: stack.servers.postgres.start(),
    ),
    Outage("Redis killed", ("RedisDown", "AuditStreamDown"), _redis_away, lambda stack: stack.servers.redis.start()),
    _of_program("ollama", "OllamaServiceDown"),
    Outage(
        "alertmanager killed",
        ("TargetDown", "AnomalyAlertsUntold"),
        _nobody_to_tell,
        lambda stack: stack.programs["alertmanager"].start(),
        is_told=False,
    ),
    Outage("worker-llm deaf", ("QueueStalled",), _stall, lambda stack: stack.programs["worker-llm"].resume()),
)


def every_outage(stack: Stack, only: str = "") -> Iterator[str]:
    """Begin and end each outage; what was seen of each.  Raises AssertionError when an alert does not come or go."""
    for outage in OUTAGES:
        if only in outage.name:
            yield f"{outage.name}: " + ", ".join(_seen(stack, outage))


def _seen(stack: Stack, outage: Outage) -> list[str]:
    for alert in outage.alerts:
        wait_for(lambda name=alert: not stack.prometheus.firing(name), f"{alert} is quiet", timeout_s=OVER_WITHIN_S)
    told: list[str] = []
    began = time.monotonic()
    already = len(stack.people.notifications)
    with _while_it_lasts(stack, outage):
        for alert in outage.alerts:
            wait_for(
                lambda name=alert: _fires(stack, outage, name, since=already),
                f"{outage.name}: {alert} fires{' and people know' * outage.is_told}",
                timeout_s=FIRES_WITHIN_S,
                every_s=0.5,
            )
            told.append(f"{alert} after {time.monotonic() - began:.0f} s")
    ended = time.monotonic()
    # A worker that holds messages when Redis dies may end with it, by an error of kombu.
    told += [f"{name} started again" for name, program in stack.programs.items() if program.revive()]
    for alert in outage.alerts:
        wait_for(
            lambda name=alert: not stack.prometheus.firing(name) and not _listed(stack, name),
            f"{outage.name}: {alert} is over",
            timeout_s=OVER_WITHIN_S,
            every_s=0.5,
        )
    return [*told, f"over after {time.monotonic() - ended:.0f} s"]


def _fires(stack: Stack, outage: Outage, alert: str, *, since: int) -> bool:
    outage.meanwhile(stack)
    return stack.prometheus.firing(alert) and (not outage.is_told or _people_know(stack, alert, since=since))


@contextmanager
def _while_it_lasts(stack: Stack, outage: Outage) -> Iterator[None]:
    outage.begin(stack)
    try:
        yield
    finally:
        outage.end(stack)


def _people_know(stack: Stack, alert: str, *, since: int) -> bool:
    """Whether people were told after so many notifications, or need not be, for they were told of its cause."""
    listed = _listed(stack, alert)
    if listed and all(one["status"]["inhibitedBy"] for one in listed):
        return True
    told = [one for body in stack.people.notifications[since:] for one in body["alerts"]]
    return bool(listed) and any(one["labels"]["alertname"] == alert and one["status"] == "firing" for one in told)


def _listed(stack: Stack, alert: str) -> list[dict[str, Any]]:
    query = {"filter": f'alertname="{alert}"', "active": "true", "inhibited": "true"}
    found: list[dict[str, Any]] = httpx.get(f"{stack.alertmanager}/api/v2/alerts", params=query, timeout=10).json()
    return found
