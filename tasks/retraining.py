"""Is a new model no worse than the one in force?  The same rule in the workers and in the replay of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml.artifact import Model
from ml.evaluate import Evaluation, TimesAndValues, evaluate

# One false alarm a week and series is worth as much as this share of the faults.
_COST_OF_AN_ALARM = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same held-back histories with the same faults put into them."""

    candidate: Evaluation
    present: Evaluation

    @property
    def is_no_worse(self) -> bool:
        """Whether the candidate ranks and pages at least as well."""
        return _ranking(self.candidate) >= _ranking(self.present) and _paging(self.candidate) >= _paging(self.present)

    @property
    def told(self) -> str:
        """The figures behind the verdict, in one line."""
        return (
            f"ranking {_ranking(self.candidate):.4f} against {_ranking(self.present):.4f}, "
            f"paging {_paging(self.candidate):.4f} against {_paging(self.present):.4f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"candidate": self.candidate.to_dict(), "present": self.present.to_dict(), "verdict": self.told}


def compare(candidate: Model, present: Model, histories: Sequence[TimesAndValues], seed: int) -> Comparison:
    """Both models on the part of each history that is held back.  Raises NotEnoughHistory."""
    return Comparison(evaluate(candidate, histories, seed), evaluate(present, histories, seed))


def _ranking(evaluation: Evaluation) -> float:
    return evaluation.average_precision


def _paging(evaluation: Evaluation) -> float:
    return evaluation.detection_rate - _COST_OF_AN_ALARM * evaluation.false_alarms_per_week
