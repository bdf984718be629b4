"""How well were the alerts of a storm put together?  Precision and recall over pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of all pairs put together, the share that belongs together; of all pairs that belong, the share put together."""

    precision: float
    recall: float


def judge(truth: Sequence[Hashable], found: Sequence[Hashable]) -> Judgement:
    """Of alerts in one order: where each belongs, and where it was put.  Each of these is a name of a group."""
    together = _pairs(Counter(zip(truth, found, strict=True)))
    said, wanted = _pairs(Counter(found)), _pairs(Counter(truth))
    return Judgement(together / said if said else 1.0, together / wanted if wanted else 1.0)


def _pairs(sizes: Counter[Hashable]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())
