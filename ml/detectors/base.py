"""What every detector promises."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
Parameters = Mapping[str, int | float]


class Detector(Protocol):
    """Learns what rows of features are ordinary, and says how strange others are.

    A row's score depends on that row only: the same to the last bit alone or in any batch.
    """

    name: str

    @property
    def parameters(self) -> dict[str, int | float]:
        """What the detector was made with; `type(detector)(**parameters)` makes its like."""

    def fit(self, features: FloatArray, seed: int) -> None:
        """Learn from rows of shape (n_samples, n_features); the same rows and seed give the same detector."""

    def score(self, features: FloatArray) -> FloatArray:
        """How strange each row is.

        Shape (n_samples,), in the order given; from 0 (ordinary) to 1 (strange).
        Raises NotFitted before `fit`.
        """

    def centre(self) -> FloatArray:
        """The ordinary value of each feature, shape (n_features,): contributions are measured against it."""

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What was learnt, as plain numeric arrays."""

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The detector that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be one."""
