"""What every detector promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
Parameters = Mapping[str, int | float]
Starts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How strange samples are, in bits that compare between series: for ranking, and for paging."""

    score: FloatArray
    alert: FloatArray


class Detector(Protocol):
    """Learns what figures are ordinary, and says how strange those of other samples are.

    What it says of a sample depends on the figures of that sample and of earlier ones of its series only: the same to
    the last bit alone or in any batch.
    """

    name: str

    @property
    def parameters(self) -> dict[str, int | float]:
        """What the detector was made with; `type(detector)(**parameters)` makes its like."""

    def fit(self, figures: FloatArray, seed: int) -> None:
        """Learn from figures of shape (samples, FIGURES); the same ones and seed give the same detector."""

    def beginning(self) -> FloatArray:
        """The numbers that it remembers of a series, before the first sample; often none."""

    def judge(self, figures: FloatArray, starts: Starts, own: FloatArray) -> Evidence:
        """How strange each sample is.

        The samples of series n are those from `starts[n]` to `starts[n + 1]`; `own[n]`, what is remembered of the
        series, moves on. Raises NotFitted before `fit`.
        """

    def explain(self, figures: FloatArray) -> FloatArray:
        """What each feature adds to the alert evidence, in bits: shape (samples, features).

        From the figures alone, since what is remembered has moved on when somebody asks. Raises NotFitted.
        """

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What was learnt, as plain numeric arrays."""

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The detector that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be one."""
