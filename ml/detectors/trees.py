"""How deep do rows fall in a forest of random trees?  Flat arrays, exact sums.

Each tree is a complete binary heap: the children of node i are 2i + 1 and 2i + 2, so no child pointers are needed. All
rows fall through one tree after the other, so that a tree is at hand in the processor's cache while it is used.
"""

from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.compiled import compiled
from ml.detectors.base import FloatArray

# Path lengths are summed as whole numbers of this fraction: exact, so the order of a sum cannot matter.
FIXED_POINT = 2**32
LN_2 = log(2.0)
Singles = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trees:
    """A forest. `feature` and `threshold`: (trees, 2**depth - 1); `length`: (trees, 2**depth), fixed point."""

    feature: npt.NDArray[np.int16]
    threshold: FloatArray
    length: Whole

    def path_lengths(self, rows: FloatArray) -> Whole:
        """Sum of the path lengths of each row over all trees, in units of 1 / FIXED_POINT; shape (n_samples,)."""
        sums = np.zeros(len(rows), dtype=np.int64)
        # scikit-learn splits on single precision, and a row must fall the same way here.
        singles = np.ascontiguousarray(rows, dtype=np.float32)
        _fall(self.feature, self.threshold, self.length, singles, sums)
        return sums


@compiled
def _fall(feature: npt.NDArray[np.int16], threshold: FloatArray, length: Whole, rows: Singles, sums: Whole) -> None:
    trees, inner = threshold.shape
    for tree in range(trees):
        for row in range(len(rows)):
            node = 0
            while node < inner:
                right = rows[row, feature[tree, node]] > threshold[tree, node]
                node = 2 * node + 1 + (1 if right else 0)
            sums[row] += length[tree, node - inner]


@compiled
def as_scores(path_lengths: Whole, normal: float) -> FloatArray:
    """The anomaly score of each sum of path lengths: one half where it is `normal`, and 1 at most.

    Source: Liu, Ting and Zhou (2008), Isolation Forest, equation 2.
    """
    scores = np.empty(len(path_lengths))
    # One by one: the vectorised power may round differently in another position of the batch.
    for row in range(len(path_lengths)):
        scores[row] = exp(-LN_2 * (path_lengths[row] / normal))
    return scores


def flatten(forest: Any) -> Trees:
    """The trees of a fitted scikit-learn IsolationForest."""
    fitted = [estimator.tree_ for estimator in forest.estimators_]
    columns = forest.estimators_features_
    depth = max(int(tree.max_depth) for tree in fitted)
    inner, leaves = 2**depth - 1, 2**depth
    feature = np.zeros((len(fitted), inner), dtype=np.int16)
    # A row that reached its leaf early keeps to the left: nothing is greater than infinity.
    threshold = np.full((len(fitted), inner), np.inf)
    length = np.zeros((len(fitted), leaves), dtype=np.int64)
    for number, (tree, used) in enumerate(zip(fitted, columns, strict=True)):
        waiting = [(0, 0, 0)]  # node of scikit-learn's, place in the heap, depth
        while waiting:
            node, place, at_depth = waiting.pop()
            left = int(tree.children_left[node])
            if left < 0:
                path = at_depth + average_path_length(int(tree.n_node_samples[node]))
                bottom = (place + 1) * 2 ** (depth - at_depth) - 1 - inner
                length[number, bottom] = round(path * FIXED_POINT)
                continue
            feature[number, place] = used[tree.feature[node]]
            threshold[number, place] = tree.threshold[node]
            waiting.append((left, 2 * place + 1, at_depth + 1))
            waiting.append((int(tree.children_right[node]), 2 * place + 2, at_depth + 1))
    return Trees(feature, threshold, length)


def average_path_length(samples: int) -> float:
    """Average length of an unsuccessful search in a binary search tree of so many samples.

    Source: Liu, Ting and Zhou (2008), Isolation Forest, equation 1.
    """
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return 2.0 * (float(np.log(samples - 1.0)) + float(np.euler_gamma)) - 2.0 * (samples - 1.0) / samples
