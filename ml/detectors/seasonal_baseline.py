"""A robust seasonal baseline: how rare is it to be so far from the last hour and from this hour on other days?

It needs no training to speak of, and says in words what it means: the choice for series that must be explained.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.detectors import rarities
from ml.detectors.base import Arrays, Evidence, FloatArray, Parameters, Starts
from ml.errors import ArtifactRejected, NotFitted

LEAST_UNIT, MOST_UNIT = 0.75, 1.25


class SeasonalBaseline:
    """Rarities alone, in a unit in which ordinary series of this system are as ordinary as others.

    `usual` is what 999 of 1,000 samples of generated ordinary series stay below, in bits. What is learnt is the factor
    that brings the samples it is fitted on there, within limits.
    """

    name = "seasonal_baseline"

    def __init__(self, usual: float = 5.0) -> None:
        self.usual = usual
        self._unit: float | None = None

    @property
    def parameters(self) -> dict[str, int | float]:
        return {"usual": self.usual}

    def fit(self, figures: FloatArray, seed: int) -> None:  # noqa: ARG002
        """Learn from figures of shape (samples, FIGURES); the same ones give the same detector."""
        highest = float(np.quantile(rarities.alert_sum(figures) / rarities.PARTS, 0.999))
        self._unit = min(max(self.usual / max(highest, 1e-9), LEAST_UNIT), MOST_UNIT)

    def beginning(self) -> FloatArray:
        """Nothing is remembered."""
        return np.zeros(0)

    def judge(self, figures: FloatArray, starts: Starts, own: FloatArray) -> Evidence:  # noqa: ARG002
        """How strange each sample is. Raises NotFitted."""
        bits = self._fitted() / rarities.PARTS * rarities.alert_sum(figures)
        return Evidence(score=rarities.score_bits(figures), alert=rarities.or_frozen(bits, figures))

    def explain(self, figures: FloatArray) -> FloatArray:
        """What each feature adds to the alert evidence, in bits."""
        return rarities.with_frozen(rarities.explained(figures, self._fitted() / rarities.PARTS), figures)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"unit": np.array([self._fitted()])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The baseline that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be one."""
        try:
            detector = cls(usual=float(parameters["usual"]))
            unit = float(arrays["unit"][0])
        except (KeyError, IndexError, ValueError, TypeError) as problem:
            raise ArtifactRejected(f"the baseline is incomplete: {problem!r}") from problem
        if not LEAST_UNIT <= unit <= MOST_UNIT:
            raise ArtifactRejected(f"a baseline's unit of {unit} cannot be")
        detector._unit = unit
        return detector

    def _fitted(self) -> float:
        if self._unit is None:
            raise NotFitted(f"{self.name} is not fitted yet")
        return self._unit
