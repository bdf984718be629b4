"""Does every panel and every rule get an answer?"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import psycopg
import yaml

from sensus import times
from tests import dashboards
from tests.containers.tools import CheckFailed
from tests.ops import shortened
from tests.ops.prometheus import has_numbers
from tests.ops.stack import Stack

_RATE_S = 20
_SELECTOR = re.compile(r"(?<![\w.:])([A-Za-z_]\w*(?::\w+)*)(\{[^}]*\})?(?![\w:])(?!\s*\()")
_NO_FIGURES = frozenset(("by", "on", "or", "and", "unless", "ignoring", "vector", "time", "bool"))


def panels(stack: Stack, *, since_s: int) -> str:
    """Ask what each panel asks, over the time of the check; what was asked.  Raises CheckFailed on an empty answer."""
    empty: list[str] = []
    slowest = (0.0, "")
    asked = 0
    with psycopg.connect(stack.reporting_url, autocommit=True) as connection:
        series = _first_choice(connection)
        for question in dashboards.questions():
            began = time.monotonic()
            if question.is_sql:
                is_there = _rows(connection, question.text, series)
            else:
                is_there = _values(stack, question, since_s)
            slowest = max(slowest, (time.monotonic() - began, str(question)))
            asked += 1
            if not is_there:
                empty.append(f"{question}: {question.text}")
    if empty:
        raise CheckFailed("panels without an answer:\n" + "\n".join(empty))
    seconds, which = slowest
    return (
        f"{asked} questions of {len(dashboards.boards())} dashboards answered, the slowest in {seconds:.2f} s ({which})"
    )


def rules(stack: Stack) -> str:
    """Each recorded figure is there, and each figure that an alert rests on.  Raises CheckFailed otherwise."""
    recorded, alerts = _rules()
    missing = [name for name in recorded if not stack.prometheus.ask(name)]
    for name, expr in alerts.items():
        missing += [
            f"{name}: {selector}" for selector in selectors(expr) if not stack.prometheus.ask(_over_a_while(selector))
        ]
    if missing:
        raise CheckFailed("figures that nobody has:\n" + "\n".join(missing))
    health = [f"{rule['name']}: {rule.get('lastError')}" for rule in _evaluated(stack) if rule["health"] != "ok"]
    if health:
        raise CheckFailed("rules that fail:\n" + "\n".join(health))
    return f"{len(recorded)} recorded figures and all figures of {len(alerts)} alerts are there"


def selectors(expr: str) -> list[str]:
    """The figures that an expression selects, each with its matchers."""
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", re.sub(r"\[[^\]]*\]", "", expr))
    found = []
    for match in _SELECTOR.finditer(_without_strings(bare)):
        if match[1] not in _NO_FIGURES:
            found.append(bare[match.start() : match.end()])
    return found


def _without_strings(expr: str) -> str:
    # As long as before, so that places stay the same.
    return re.sub(r'"[^"]*"', lambda found: '"' + "_" * (len(found[0]) - 2) + '"', expr)


def _over_a_while(selector: str) -> str:
    # A figure may be gone at this very moment: what a worker says that was restarted.
    return f"last_over_time({selector}[1m])"


def _rules() -> tuple[list[str], dict[str, str]]:
    recorded: list[str] = []
    alerts: dict[str, str] = {}
    for path in sorted((shortened.PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if "record" in rule:
                    recorded.append(rule["record"])
                else:
                    alerts[rule["alert"]] = rule["expr"]
    return recorded, alerts


def _evaluated(stack: Stack) -> list[dict[str, Any]]:
    import httpx

    groups = httpx.get(f"{stack.prometheus.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _values(stack: Stack, question: dashboards.Question, since_s: int) -> bool:
    expr = dashboards.promql(question.text, rate_s=_RATE_S, range_s=since_s)
    if question.over_time:
        return has_numbers(stack.prometheus.ask_over(expr, seconds=since_s, step_s=shortened.SCRAPE_S * 2))
    return has_numbers(stack.prometheus.ask(expr))


def _rows(connection: psycopg.Connection, text: str, series: int) -> bool:
    until = times.now()
    # The demo brings two weeks of history.
    expanded = dashboards.sql(text, since=until - timedelta(days=15), until=until, interval_s=3600, series=series)
    return bool(connection.execute(expanded.encode()).fetchall())


def _first_choice(connection: psycopg.Connection) -> int:
    variable = dashboards.variables(dashboards.boards()["sensus-scores.json"])["series"]
    row = connection.execute(variable["query"]).fetchone()
    if row is None:
        raise CheckFailed("there is no series to choose")
    return int(row[1])
