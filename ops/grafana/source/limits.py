"""Where does an alert begin?  Read from the rules, so that a dashboard draws its line at the same value."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

RULES = Path(__file__).parent.parent.parent / "prometheus" / "rules" / "alerts.yml"
_COMPARED = re.compile(r"> ([\d.]+(?:e\d+)?)")


def limit(alert: str) -> float:
    """The value above which an alert of this name fires, the first one of its expression."""
    found = _COMPARED.search(_expressions()[alert])
    if found is None:
        raise ValueError(f"{alert} compares with no number")
    return float(found[1])


def names() -> tuple[str, ...]:
    """All alerts about Sensus itself."""
    return tuple(_expressions())


@cache
def _expressions() -> dict[str, str]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
