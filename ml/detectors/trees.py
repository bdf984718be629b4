"""How deep do rows fall in a forest of random trees?  Flat arrays, exact sums.

Each tree is a complete binary heap: the children of node i are 2i + 1 and 2i + 2, so no child pointers are
needed, and all rows fall through all trees at once, one level at a time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.detectors.base import FloatArray

# Path lengths are summed as whole numbers of this fraction: exact, so the order of a sum cannot matter.
FIXED_POINT = 2**32
ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Trees:
    """A forest. `feature` and `threshold`: (trees, 2**depth - 1); `length`: (trees, 2**depth), fixed point."""

    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float64]
    length: npt.NDArray[np.int64]

    def path_lengths(self, features: FloatArray) -> npt.NDArray[np.int64]:
        """Sum of the path lengths of each row over all trees, in units of 1 / FIXED_POINT; shape (n_samples,)."""
        # scikit-learn splits on single precision, and a row must fall the same way here.
        rows = np.ascontiguousarray(np.asarray(features, dtype=np.float32), dtype=np.float64)
        sums = np.empty(len(rows), dtype=np.int64)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            sums[start : start + len(part)] = self._fall(part)
        return sums

    def _fall(self, rows: FloatArray) -> npt.NDArray[np.int64]:
        trees, inner = self.threshold.shape
        width = rows.shape[1]
        flat = rows.ravel()
        first = np.arange(trees, dtype=np.int64)[:, None] * inner
        first_cell = np.arange(len(rows), dtype=np.int64)[None, :] * width
        node = np.zeros((trees, len(rows)), dtype=np.int64)
        thresholds, cells = self.threshold.ravel(), self.feature.ravel()
        depth = inner.bit_length()
        for _ in range(depth):
            at = node + first
            right = flat.take(cells.take(at) + first_cell) > thresholds.take(at)
            node += node
            node += 1
            node += right
        leaf = node - inner + np.arange(trees, dtype=np.int64)[:, None] * (inner + 1)
        total: npt.NDArray[np.int64] = self.length.ravel().take(leaf).sum(axis=0, dtype=np.int64)
        return total


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
