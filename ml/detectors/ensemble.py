"""The mean of what the other detectors say: strange is what is strange in several ways."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.detectors.base import Arrays, Detector, Evidence, FloatArray, Parameters, Starts
from ml.detectors.half_space_trees import HalfSpaceTrees
from ml.detectors.isolation_forest import IsolationForest
from ml.detectors.seasonal_baseline import SeasonalBaseline

MEMBERS: tuple[type[Detector], ...] = (IsolationForest, SeasonalBaseline, HalfSpaceTrees)


class Ensemble:
    """The mean of the evidence of an isolation forest, a seasonal baseline and half-space trees."""

    name = "ensemble"

    def __init__(self, trees: int = 100) -> None:
        self.trees = trees
        self._members: tuple[Detector, ...] = (IsolationForest(trees=trees), SeasonalBaseline(), HalfSpaceTrees())

    @property
    def parameters(self) -> dict[str, int | float]:
        return {"trees": self.trees}

    def fit(self, figures: FloatArray, seed: int) -> None:
        """Learn from figures of shape (samples, FIGURES); the same ones and seed give the same detector."""
        for member in self._members:
            member.fit(figures, seed)

    def beginning(self) -> FloatArray:
        """What the members remember, one after the other."""
        return np.concatenate([member.beginning() for member in self._members])

    def judge(self, figures: FloatArray, starts: Starts, own: FloatArray) -> Evidence:
        """How strange each sample is. Raises NotFitted."""
        said = []
        for member, part in zip(self._members, self._parts(), strict=True):
            numbers = own[:, part].copy()
            said.append(member.judge(figures, starts, numbers))
            own[:, part] = numbers
        return Evidence(
            score=sum((one.score for one in said), np.zeros(len(figures))) / len(said),
            alert=sum((one.alert for one in said), np.zeros(len(figures))) / len(said),
        )

    def explain(self, figures: FloatArray) -> FloatArray:
        """What each feature adds to the alert evidence, in bits."""
        mean: FloatArray = np.mean([member.explain(figures) for member in self._members], axis=0)
        return mean

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            f"{member.name}/{name}": array for member in self._members for name, array in member.to_arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The ensemble that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be one."""
        detector = cls(trees=int(parameters["trees"]))
        detector._members = tuple(
            kind.from_arrays(
                {
                    name.removeprefix(f"{kind.name}/"): array
                    for name, array in arrays.items()
                    if _is_of(kind.name, name)
                },
                member.parameters,
            )
            for kind, member in zip(MEMBERS, detector._members, strict=True)
        )
        return detector

    def _parts(self) -> list[slice]:
        """Which of the numbers that are remembered belong to each member."""
        ends = np.cumsum([len(member.beginning()) for member in self._members]).tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _is_of(member: str, name: str) -> bool:
    return name.startswith(f"{member}/")
