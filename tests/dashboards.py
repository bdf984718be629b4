"""The panels of the dashboards as they are committed, and their questions as Grafana would send them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sensus import times

FOLDER = Path(__file__).parent.parent / "ops" / "grafana" / "dashboards"
POSTGRES = "grafana-postgresql-datasource"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Question:
    """One target of one panel."""

    board: str
    panel: str
    text: str  # PromQL or SQL, with Grafana's variables and macros
    is_sql: bool
    over_time: bool

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}"


def boards() -> dict[str, Any]:
    """Each committed dashboard by the name of its file."""
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, rows left out."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The choices at the top of a dashboard, by name."""
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def questions() -> Iterator[Question]:
    """Every target of every panel."""
    for name, board in boards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                is_sql = target["datasource"]["type"] == POSTGRES
                yield Question(
                    name,
                    panel["title"],
                    target["rawSql"] if is_sql else target["expr"],
                    is_sql,
                    target["format"] == "time_series" if is_sql else not target["instant"],
                )


def promql(text: str, *, rate_s: int, range_s: int) -> str:
    """The expression for all jobs, with the intervals that Grafana would put in."""
    values = {"$job": ".+", "$instance": ".+", "$__rate_interval": f"{rate_s}s", "$__range": f"{range_s}s"}
    return _replaced(text, values)


def sql(text: str, *, since: datetime, until: datetime, interval_s: int = 60, **choices: object) -> str:
    """The statement with macros and choices put in, as the plugin of Grafana does it."""
    text = _replaced(text, {"$__interval": f"{interval_s}s", **{f"${name}": str(one) for name, one in choices.items()}})
    between = f"BETWEEN '{times.isoformat(since)}' AND '{times.isoformat(until)}'"
    text = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 {between}", text)
    text = re.sub(r"\$__timeGroupAlias\(([\w.]+), *(\w+)(?:, *\w+)?\)", _time_group, text)
    if "$" in text:
        raise ValueError(f"what is left was not expanded: {text}")
    return text


def _time_group(found: re.Match[str]) -> str:
    column, interval = found[1], found[2]
    seconds = int(interval[:-1]) * _SECONDS[interval[-1]]
    return f'floor(extract(epoch from {column})/{seconds})*{seconds} AS "time"'


def _replaced(text: str, values: Mapping[str, str]) -> str:
    # The longest first, or `$__interval` would be taken out of `$__interval_ms`.
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(name, values[name])
    return text
