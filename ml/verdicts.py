"""What does a model say of samples that people judged?  It should page for the real ones, and for no others."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ml.artifact import Model
from ml.chunked import score_in_chunks
from ml.scoring import Unscored
from ml.threshold import DEFAULT_POLICY, Policy

# An anomaly this near to a judged sample is about the same event: another model may page a little sooner or later.
NEAR_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person said of a sample."""

    time: float  # epoch seconds
    is_real: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """The history of a series, oldest first, and what people said of some of its samples."""

    times: Sequence[float]
    values: Sequence[float]
    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a model and people agree."""

    real: int  # samples that people found real
    real_paged: int  # of which the model pages for so many
    false: int
    false_paged: int

    @property
    def precision(self) -> float | None:
        """Share of real ones among the judged samples that the model pages for; None when it pages for none."""
        paged = self.real_paged + self.false_paged
        return self.real_paged / paged if paged else None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "precision": self.precision}


def agreement(model: Model, judged: Sequence[Judged], policy: Policy = DEFAULT_POLICY) -> Agreement:
    """Score each history from its beginning, and compare with what people said."""
    paged: list[list[float]] = [[] for _ in judged]
    for chunk in score_in_chunks(model, [Unscored(one.times, one.values) for one in judged], policy):
        times = judged[chunk.series].times
        paged[chunk.series] += [times[chunk.first + anomaly.sample] for anomaly in chunk.scored.anomalies]
    counts = {(is_real, is_paged): 0 for is_real in (True, False) for is_paged in (True, False)}
    for one, paged_at in zip(judged, paged, strict=True):
        for verdict in one.verdicts:
            counts[verdict.is_real, _is_near(paged_at, verdict.time)] += 1
    return Agreement(
        real=counts[True, True] + counts[True, False],
        real_paged=counts[True, True],
        false=counts[False, True] + counts[False, False],
        false_paged=counts[False, True],
    )


def _is_near(paged_at: Sequence[float], time: float) -> bool:
    return bisect_left(paged_at, time - NEAR_S) < bisect_right(paged_at, time + NEAR_S)
