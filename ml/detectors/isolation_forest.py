"""Isolation forest, extended beyond the values it was trained on.

A forest cannot tell a little outside of its training data from far outside: both leave each tree by the same
leaf. So the distance outside the box of ordinary values is added to its score.
"""

from math import exp
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.detectors.base import Arrays, FloatArray, Parameters
from ml.detectors.trees import FIXED_POINT, Trees, average_path_length, flatten
from ml.errors import ArtifactRejected, NotFitted

MOST_DEPTH = 16
MOST_TREES = 1000


class IsolationForest:
    """Isolation forest with an excess term.

    `score` is 1 - (1 - forest) * exp(-excess_weight * excess), where `forest` is the anomaly score of the paper
    and `excess` the summed distance of the features outside the box from the `box_quantile` to the
    1 - `box_quantile` quantile of each feature in training. Both grow with strangeness, and so does the score.
    Source: Liu, Ting and Zhou (2008), Isolation Forest, equation 2.
    """

    name = "isolation_forest"

    def __init__(
        self,
        trees: int = 100,
        max_samples: int = 256,
        excess_weight: float = 0.1,
        box_quantile: float = 0.01,
    ) -> None:
        self.trees = trees
        self.max_samples = max_samples
        self.excess_weight = excess_weight
        self.box_quantile = box_quantile
        self._trees: Trees | None = None
        self._normal = 1.0
        self._box: FloatArray = np.zeros((3, 0))  # low, high and median of each feature

    @property
    def parameters(self) -> dict[str, int | float]:
        return {
            "trees": self.trees,
            "max_samples": self.max_samples,
            "excess_weight": self.excess_weight,
            "box_quantile": self.box_quantile,
        }

    def fit(self, features: FloatArray, seed: int) -> None:
        """Learn from rows of shape (n_samples, n_features); the same rows and seed give the same detector."""
        # scikit-learn takes a second and 80 MB to import, and only training needs it.
        from sklearn.ensemble import IsolationForest as Forest

        forest = Forest(
            n_estimators=self.trees,
            max_samples=min(self.max_samples, len(features)),
            n_jobs=1,
            random_state=seed,
        )
        forest.fit(features)
        self._trees = flatten(forest)
        self._normal = average_path_length(int(forest.max_samples_)) * len(forest.estimators_) * FIXED_POINT
        quantiles = [self.box_quantile, 1.0 - self.box_quantile, 0.5]
        self._box = np.quantile(np.asarray(features, dtype=np.float64), quantiles, axis=0)

    def score(self, features: FloatArray) -> FloatArray:
        """How strange each row is, shape (n_samples,), from 0 (ordinary) to 1 (strange). Raises NotFitted."""
        rows = np.asarray(features, dtype=np.float64)
        paths = self._fitted().path_lengths(rows).tolist()
        excess = self.excess(rows).tolist()
        # Scalar powers: the vectorised ones may round differently in another position of the batch.
        return np.array(
            [
                1.0 - (1.0 - 2.0 ** (-path / self._normal)) * exp(-self.excess_weight * far)
                for path, far in zip(paths, excess, strict=True)
            ],
            dtype=np.float64,
        )

    def forest_score(self, features: FloatArray) -> FloatArray:
        """The plain forest's score of each row, shape (n_samples,), from 0 to 1."""
        paths = self._fitted().path_lengths(features).tolist()
        return np.array([2.0 ** (-path / self._normal) for path in paths], dtype=np.float64)

    def excess(self, features: FloatArray) -> FloatArray:
        """Summed distance of each row outside the box of ordinary values, shape (n_samples,), 0 inside."""
        total: FloatArray = np.zeros(len(features))
        low, high, _ = self._box
        # One column after the other: a sum along rows may change its order with the shape of the batch.
        for column in range(features.shape[1]):
            values = features[:, column]
            total += np.maximum(values - high[column], 0.0) + np.maximum(low[column] - values, 0.0)
        return total

    def centre(self) -> FloatArray:
        """Median of each feature in training, shape (n_features,). Raises NotFitted."""
        self._fitted()
        centre: FloatArray = self._box[2]
        return centre

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        trees = self._fitted()
        return {
            "feature": trees.feature,
            "threshold": trees.threshold,
            "length": trees.length,
            "normal": np.array([self._normal]),
            "box": self._box,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The forest that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be a forest."""
        try:
            detector = cls(
                trees=int(parameters["trees"]),
                max_samples=int(parameters["max_samples"]),
                excess_weight=float(parameters["excess_weight"]),
                box_quantile=float(parameters["box_quantile"]),
            )
            feature, threshold, length = (arrays[name] for name in ("feature", "threshold", "length"))
            box, normal = arrays["box"], float(arrays["normal"][0])
        except (KeyError, IndexError, ValueError, TypeError) as problem:
            raise ArtifactRejected(f"the forest is incomplete: {problem!r}") from problem
        _check(feature, threshold, length, box, normal)
        detector._trees = Trees(feature, threshold, length)
        detector._normal = normal
        detector._box = box
        return detector

    def _fitted(self) -> Trees:
        if self._trees is None:
            raise NotFitted("this isolation forest was not fitted")
        return self._trees


def _check(
    feature: npt.NDArray[Any],
    threshold: npt.NDArray[Any],
    length: npt.NDArray[Any],
    box: npt.NDArray[Any],
    normal: float,
) -> None:
    """Refuse arrays that would make a traversal read outside of them or give a score outside 0 to 1."""
    kinds = (feature.dtype == np.int16, threshold.dtype == np.float64, length.dtype == np.int64)
    if not all(kinds) or box.dtype != np.float64:
        raise ArtifactRejected("the forest's arrays are of the wrong types")
    if threshold.ndim != 2 or feature.shape != threshold.shape or box.ndim != 2 or box.shape[0] != 3:
        raise ArtifactRejected("the forest's arrays are of the wrong shapes")
    trees, inner = threshold.shape
    sizes = [2**depth - 1 for depth in range(MOST_DEPTH + 1)]
    if not 0 < trees <= MOST_TREES or inner not in sizes or length.shape != (trees, inner + 1):
        raise ArtifactRejected("the forest's trees are not complete heaps")
    if inner and (feature.min() < 0 or feature.max() >= box.shape[1]):
        raise ArtifactRejected("the forest splits on a feature that does not exist")
    if np.isnan(threshold).any() or not np.isfinite(box).all() or length.min() < 0 or not normal > 0:
        raise ArtifactRejected("the forest holds figures that cannot be")
