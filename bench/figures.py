"""What does a benchmark tell?  One figure a line, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Figure:
    """One result; `facts` are the further fields of its line, such as `ratio_to_bare` and `lost`."""

    name: str
    value: float
    unit: str
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """The figure as one JSON object."""
        whole = {"name": self.name, "value": rounded(self.value), "unit": self.unit}
        facts = {name: rounded(value) if isinstance(value, float) else value for name, value in self.facts.items()}
        return msgspec.json.encode({**whole, **facts}).decode()


def rounded(value: float) -> float:
    """Four significant digits: what a benchmark can claim at most."""
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value, 1)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
