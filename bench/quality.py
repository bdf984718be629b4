"""How good are rankings whose truth is known?  Share right, and whether the confidence can be believed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MOST_RANKS = 5
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """One case: the place of its first true cause (from 1; None: not ranked), and the confidence in the first one."""

    rank: int | None
    confidence: float

    @property
    def is_right(self) -> bool:
        """Whether the first suspect is a true cause."""
        return self.rank == 1


@dataclass(frozen=True, slots=True)
class Bin:
    """The cases of one range of confidence: how many, how sure we were on average, and the share that was right."""

    low: float
    high: float
    cases: int
    confidence: float
    right: float


def judged(services: Sequence[str], confidence: float, truth: Collection[str]) -> Judged:
    """A ranking, best first, held against the services that were the cause."""
    places = [place for place, service in enumerate(dict.fromkeys(services), 1) if service in truth]
    return Judged(places[0] if places else None, confidence)


def accuracy(cases: Sequence[Judged], most: int) -> float:
    """AC@k: the share of cases with a true cause among the first `most`."""
    return sum(1 for case in cases if case.rank is not None and case.rank <= most) / len(cases)


def average(cases: Sequence[Judged]) -> float:
    """Avg@5: the mean of AC@1 to AC@5."""
    return sum(accuracy(cases, most) for most in range(1, MOST_RANKS + 1)) / MOST_RANKS


def auroc(cases: Sequence[Judged]) -> float | None:
    """The chance that a right answer has more confidence than a wrong one; None when all are right, or all wrong."""
    right = [case.confidence for case in cases if case.is_right]
    wrong = [case.confidence for case in cases if not case.is_right]
    if not right or not wrong:
        return None
    won = sum(1.0 if one > other else 0.5 if one == other else 0.0 for one in right for other in wrong)
    return won / (len(right) * len(wrong))


def brier(cases: Sequence[Judged]) -> float:
    """The mean square of what the confidence was off: 0 is perfect, 0.25 is what always saying one half gives."""
    return sum((case.confidence - case.is_right) ** 2 for case in cases) / len(cases)


def reliability(cases: Sequence[Judged]) -> Iterator[Bin]:
    """What was right of each range of confidence that has a case."""
    for low, high in pairwise(BINS):
        its = [case for case in cases if low <= case.confidence < high or case.confidence == high == BINS[-1]]
        if its:
            sure = sum(case.confidence for case in its) / len(its)
            yield Bin(low, high, len(its), sure, sum(case.is_right for case in its) / len(its))
