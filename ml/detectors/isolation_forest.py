"""Isolation forest beside rarities: what is strange by itself, and what is strange together.

A forest alone cannot tell a little outside of its training data from far outside, and knows nothing of the series. A
rarity knows the series, and nothing of how its figures go together. Their sum is better than each.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml import features as f
from ml.detectors import rarities
from ml.detectors.base import Arrays, Evidence, FloatArray, Parameters, Starts
from ml.detectors.trees import FIXED_POINT, Trees, as_scores, average_path_length, flatten
from ml.errors import ArtifactRejected, NotFitted

MOST_DEPTH = 16
MOST_TREES = 1000

# What the forest sees: rarities where the series is to be known, sizes where their level counts.
COLUMNS = (f.RARE_SEASONAL, f.SEASONAL_4H, f.SEASONAL_12H, f.RARE_DEPARTURE, f.RARE_VOLATILITY, f.VOLATILITY_DAY)
# The feature that each column stands for.
SEEN_FEATURES = (f.SEASONAL, f.SEASONAL_4H, f.SEASONAL_12H, f.DEPARTURE, f.VOLATILITY, f.VOLATILITY_DAY)


class IsolationForest:
    """Isolation forest and rarities.

    The forest's score of an ordinary sample is `ordinary`; what is above it counts `score_weight` bits for ranking
    and `alert_weight` bits for paging, there as one of four parts of a mean.
    Source: Liu, Ting and Zhou (2008), Isolation Forest, equation 2.
    """

    name = "isolation_forest"

    def __init__(
        self,
        trees: int = 100,
        max_samples: int = 256,
        ordinary: float = 0.46,
        score_weight: float = 5.0,
        alert_weight: float = 22.0,
    ) -> None:
        self.trees = trees
        self.max_samples = max_samples
        self.ordinary = ordinary
        self.score_weight = score_weight
        self.alert_weight = alert_weight
        self._trees: Trees | None = None
        self._normal = 1.0
        self._centre: FloatArray = np.zeros(len(COLUMNS))

    @property
    def parameters(self) -> dict[str, int | float]:
        return {
            "trees": self.trees,
            "max_samples": self.max_samples,
            "ordinary": self.ordinary,
            "score_weight": self.score_weight,
            "alert_weight": self.alert_weight,
        }

    def fit(self, figures: FloatArray, seed: int) -> None:
        """Learn from figures of shape (samples, FIGURES); the same ones and seed give the same detector."""
        # scikit-learn takes a second and 80 MB to import, and only training needs it.
        from sklearn.ensemble import IsolationForest as Forest

        rows = seen(figures)
        forest = Forest(
            n_estimators=self.trees,
            max_samples=min(self.max_samples, len(rows)),
            n_jobs=1,
            random_state=seed,
        )
        forest.fit(rows)
        self._trees = flatten(forest)
        self._normal = average_path_length(int(forest.max_samples_)) * len(forest.estimators_) * FIXED_POINT
        self._centre = np.median(rows, axis=0)

    def beginning(self) -> FloatArray:
        """Nothing is remembered."""
        return np.zeros(0)

    def judge(self, figures: FloatArray, starts: Starts, own: FloatArray) -> Evidence:  # noqa: ARG002
        """How strange each sample is. Raises NotFitted."""
        unusual = self._unusual(seen(figures))
        return Evidence(
            score=rarities.score_bits(figures) + self.score_weight * unusual,
            alert=rarities.or_frozen(self._part * (rarities.alert_sum(figures) + self.alert_weight * unusual), figures),
        )

    def explain(self, figures: FloatArray) -> FloatArray:
        """What each feature adds to the alert evidence, in bits.

        The forest's part is shared out by what its score would lose with one column ordinary after the other.
        """
        parts = rarities.explained(figures, self._part)
        rows = seen(figures)
        unusual, lost = self._unusual(rows), np.zeros(rows.shape)
        for column, ordinary in enumerate(self._centre):
            changed = rows.copy()
            changed[:, column] = ordinary
            lost[:, column] = np.maximum(unusual - self._unusual(changed), 0.0)
        whole = lost.sum(axis=1)
        share = np.divide(self._part * self.alert_weight * unusual, whole, out=np.zeros(len(rows)), where=whole > 0.0)
        for column, feature in enumerate(SEEN_FEATURES):
            parts[:, feature] += share * lost[:, column]
        return rarities.with_frozen(parts, figures)

    def forest_score(self, rows: FloatArray) -> FloatArray:
        """The plain forest's score of each row of its columns, from 0 to 1. Raises NotFitted."""
        return as_scores(self._fitted().path_lengths(rows), self._normal)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        trees = self._fitted()
        return {
            "feature": trees.feature,
            "threshold": trees.threshold,
            "length": trees.length,
            "normal": np.array([self._normal]),
            "centre": self._centre,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The forest that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be a forest."""
        try:
            detector = cls(
                trees=int(parameters["trees"]),
                max_samples=int(parameters["max_samples"]),
                ordinary=float(parameters["ordinary"]),
                score_weight=float(parameters["score_weight"]),
                alert_weight=float(parameters["alert_weight"]),
            )
            feature, threshold, length = (arrays[name] for name in ("feature", "threshold", "length"))
            centre, normal = arrays["centre"], float(arrays["normal"][0])
        except (KeyError, IndexError, ValueError, TypeError) as problem:
            raise ArtifactRejected(f"the forest is incomplete: {problem!r}") from problem
        _check(feature, threshold, length, centre, normal)
        detector._trees = Trees(feature, threshold, length)
        detector._normal = normal
        detector._centre = centre
        return detector

    @property
    def _part(self) -> float:
        return 1.0 / (rarities.PARTS + 1)

    def _unusual(self, rows: FloatArray) -> FloatArray:
        return np.maximum(self.forest_score(rows) - self.ordinary, 0.0)

    def _fitted(self) -> Trees:
        if self._trees is None:
            raise NotFitted(f"{self.name} is not fitted yet")
        return self._trees


def seen(figures: FloatArray) -> FloatArray:
    """What the forest sees of the figures: shape (samples, columns)."""
    rows: FloatArray = np.ascontiguousarray(figures[:, COLUMNS])
    # A lasting deviation is as strange below as above. Restlessness is not.
    for column in (1, 2):
        rows[:, column] = np.abs(rows[:, column])
    return rows


def _check(
    feature: npt.NDArray[Any],
    threshold: npt.NDArray[Any],
    length: npt.NDArray[Any],
    centre: npt.NDArray[Any],
    normal: float,
) -> None:
    """Refuse arrays that would make a traversal read outside of them or give a score outside 0 to 1."""
    kinds = (feature.dtype == np.int16, threshold.dtype == np.float64, length.dtype == np.int64)
    if not all(kinds) or centre.dtype != np.float64:
        raise ArtifactRejected("the forest's arrays are of the wrong types")
    if threshold.ndim != 2 or feature.shape != threshold.shape or centre.shape != (len(COLUMNS),):
        raise ArtifactRejected("the forest's arrays are of the wrong shapes")
    trees, inner = threshold.shape
    sizes = [2**depth - 1 for depth in range(MOST_DEPTH + 1)]
    if not 0 < trees <= MOST_TREES or inner not in sizes or length.shape != (trees, inner + 1):
        raise ArtifactRejected("the forest's trees are not complete heaps")
    if inner and (feature.min() < 0 or feature.max() >= len(COLUMNS)):
        raise ArtifactRejected("the forest splits on a column that does not exist")
    if np.isnan(threshold).any() or not np.isfinite(centre).all() or length.min() < 0 or not normal > 0:
        raise ArtifactRejected("the forest holds figures that cannot be")
