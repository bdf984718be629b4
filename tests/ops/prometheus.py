"""What does the Prometheus of the check know?"""

from __future__ import annotations

import math
import time
from typing import Any

import httpx

from tests.containers.tools import CheckFailed
from tests.waiting import wait_for

Vector = list[dict[str, Any]]


class Prometheus:
    """Questions to a running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, expr: str) -> Vector:
        """The vector of an expression now.  Raises CheckFailed when it is wrong."""
        return self._vector("query", expr, query=expr)

    def ask_over(self, expr: str, *, seconds: int, step_s: int) -> Vector:
        """The same over the last so many seconds."""
        end = time.time()
        return self._vector("query_range", expr, query=expr, start=end - seconds, end=end, step=step_s)

    def number(self, expr: str) -> float | None:
        """The value of an expression that has one, or None."""
        found = self.ask(expr)
        return float(found[0]["value"][1]) if found else None

    def firing(self, alert: str) -> Vector:
        """The alerts of this name that fire."""
        return self.ask(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')

    def wait_until_up(self, jobs: set[str], *, timeout_s: float) -> int:
        """Wait until each target answers and each job has one; how many there are."""

        def all_up() -> Vector | None:
            found = self.ask("up")
            is_up = all(sample["value"][1] == "1" for sample in found)
            return found if is_up and {sample["metric"]["job"] for sample in found} == jobs else None

        try:
            return len(wait_for(all_up, "all targets are up", timeout_s=timeout_s, every_s=1) or [])
        except AssertionError as error:
            down = [sample["metric"] for sample in self.ask("up == 0")]
            raise CheckFailed(f"targets that are down: {down}") from error

    def _vector(self, kind: str, expr: str, **parameters: Any) -> Vector:
        answer = httpx.post(f"{self.url}/api/v1/{kind}", data=parameters, timeout=60).json()
        if answer["status"] != "success":
            raise CheckFailed(f"{expr}: {answer['error']}")
        if answer["data"]["resultType"] == "scalar":
            return [{"metric": {}, "value": answer["data"]["result"]}]
        result: Vector = answer["data"]["result"]
        return result


def has_numbers(vector: Vector) -> bool:
    """Whether any value of the answer is a number."""
    values = (value for sample in vector for value in (sample.get("values") or [sample["value"]]))
    return any(not math.isnan(float(text)) for _, text in values)
