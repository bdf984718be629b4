"""Which numbers did a commit change, by what name and in one unit?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ml.changes.diffs import Hunk

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "millisecond": 1e-3,
    "milliseconds": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "k": 1e3,
    "ki": 1024.0,
    "kb": 1e3,
    "mi": 1024.0**2,
    "mb": 1e6,
    "gi": 1024.0**3,
    "gb": 1e9,
    "g": 1e9,
}


_QUANTITY = re.compile(
    r"(?<![\w.])(-?\d[\d_]*(?:\.\d+)?)(?:\s*\*\s*time\.(Nanosecond|Microsecond|Millisecond|Second|Minute|Hour)|"
    r"(ms|us|ns|s|sec|m|min|h|d|ki|mi|gi|kb|mb|gb|k|g)(?![\w]))?",
    re.IGNORECASE,
)


_KEYED = re.compile(
    r"[\"']?([A-Za-z_][\w.\-]*)[\"']?\s*(?:[:=]+|\bas\b)\s*(?:[A-Za-z_][\w.]*\(\s*)?\s*[\"']?"
    r"(-?\d[\d_]*(?:\.\d+)?(?:\s*\*\s*time\.\w+|[a-zA-Z]{1,2}(?!\w))?)"
)


def _quantity(text: str) -> float | None:
    match = _QUANTITY.search(text)
    if match is None:
        return None
    unit = (match.group(2) or match.group(3) or "").lower()
    return float(match.group(1).replace("_", "")) * _UNITS.get(unit, 1.0)


def _keyed_numbers(lines: Iterable[str]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for line in lines:
        named = re.sub(r"-X(mx|ms)", r"heap_\1=", line)  # Java's way to say heap sizes
        for key, text in _KEYED.findall(re.sub(r":\s*\w+\s*=", " =", named)):
            value = _quantity(text)
            if value is not None:
                found.setdefault(key, []).append(value)
    return found


@dataclass(frozen=True)
class _NumberChange:
    name: str
    old: float
    new: float


def number_changes(hunk: Hunk) -> list[_NumberChange]:
    """Numbers that changed under the same key, or in lines that are else alike."""
    old, new = _keyed_numbers(hunk.removed), _keyed_numbers(hunk.added)
    found = [
        _NumberChange(key, before, after)
        for key in old.keys() & new.keys()
        for before, after in zip(old[key], new[key], strict=False)
        if before != after
    ]
    for before in hunk.removed:
        after = max(hunk.added, key=lambda line, b=before: likeness(b, line), default="")  # type: ignore[misc]
        if not after or likeness(before, after) < 0.7:
            continue
        olds, news = plain_quantities(before), plain_quantities(after)
        if len(olds) == len(news):
            known = {change.old for change in found}
            found += [_NumberChange(before, a, b) for a, b in zip(olds, news, strict=True) if a != b and a not in known]
    return found


def plain_quantities(line: str) -> list[float]:
    bare = re.sub(r"\"[^\"]*\"|'[^']*'|v\d+(\.\d+)+", " ", line)
    return [
        float(m.group(1).replace("_", "")) * _UNITS.get((m.group(2) or m.group(3) or "").lower(), 1.0)
        for m in _QUANTITY.finditer(bare)
    ]


@lru_cache(maxsize=16_384)
def likeness(one: str, other: str) -> float:
    """Likeness of two lines with their numbers left out."""
    bare = [re.sub(r"\s+", " ", _QUANTITY.sub("0", line)).strip() for line in (one, other)]
    return difflib.SequenceMatcher(None, bare[0], bare[1]).ratio()
