"""Half-space trees: in which corner of its figures has this series hardly ever been?  Learnt sample by sample.

Each tree halves a random column at each level, so its leaves are boxes that are the same for all series and versions.
Of each series the weight of its samples in each leaf is remembered and fades; a sample in a light leaf is strange.
Source: Tan, Ting and Liu (2011), Fast anomaly detection for streaming data; with fading weights in place of two
windows, and with the weights of ordinary series as a prior, so that a young series knows what is ordinary elsewhere.
"""

from math import log2
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml import features as f
from ml.compiled import compiled
from ml.detectors import rarities
from ml.detectors.base import Arrays, Evidence, FloatArray, Parameters, Starts
from ml.detectors.isolation_forest import COLUMNS, SEEN_FEATURES, seen
from ml.errors import ArtifactRejected, NotFitted

MOST_TREES, MOST_DEPTH = 64, 10
# Where the columns usually lie: lowest and highest.
_SPACE = np.array([(0.0, 9.0), (0.0, 3.0), (0.0, 3.0), (0.0, 9.0), (0.0, 9.0), (-2.0, 2.0)])
# Of what is remembered: the growth of weights, the whole weight, the fading maximum, then the leaves.
_GROWN, _WEIGHT, _HELD, _LEAVES = range(4)
# A sample is forgotten within so many: 28 days of them at five minutes.
_MEMORY = 8064.0
_MOST_GROWTH = 1e4
# Samples that the weights of ordinary series count for.
_PRIOR = 100.0


class HalfSpaceTrees:
    """Half-space trees over the columns that the isolation forest sees.

    `usual` is the evidence, in bits, that 999 of 1,000 of the samples it was fitted on stay below.
    """

    name = "half_space_trees"

    def __init__(self, trees: int = 16, depth: int = 6, structure: int = 1, usual: float = 5.0) -> None:
        self.trees = trees
        self.depth = depth
        self.structure = structure
        self.usual = usual
        self._columns, self._splits = _grown(trees, depth, structure)
        self._shares: FloatArray | None = None
        self._credits: FloatArray | None = None
        self._centre, self._unit = 0.0, 1.0

    @property
    def parameters(self) -> dict[str, int | float]:
        return {"trees": self.trees, "depth": self.depth, "structure": self.structure, "usual": self.usual}

    def fit(self, figures: FloatArray, seed: int) -> None:  # noqa: ARG002
        """Learn from figures of shape (samples, FIGURES); the same ones give the same detector."""
        leaves = _leaves(self._columns, self._splits, seen(figures))
        size = 2**self.depth
        counts = np.stack([np.bincount(of_tree, minlength=size) for of_tree in leaves.T])
        self._credits = None
        # No box is impossible only because no sample was in it.
        self._shares = (counts + 1.0) / (counts.sum(axis=1, keepdims=True) + size)
        bits = -np.log2(np.take_along_axis(self._shares, leaves.T, axis=1)).mean(axis=0)
        self._centre = float(np.median(bits))
        self._unit = self.usual / max(float(np.quantile(bits, 0.999)) - self._centre, 0.5)

    def beginning(self) -> FloatArray:
        """What is remembered of a series before its first sample: no weight in any leaf."""
        return np.array([1.0, 0.0, 0.0, *np.zeros(self.trees * 2**self.depth)])

    def judge(self, figures: FloatArray, starts: Starts, own: FloatArray) -> Evidence:
        """How strange each sample is; it is learnt then. Raises NotFitted."""
        shares = self._fitted()
        score, alert = np.empty(len(figures)), np.empty(len(figures))
        leaves = _leaves(self._columns, self._splits, seen(figures))
        _judge(shares, leaves, self._centre, self._unit, figures, starts, own, score, alert)
        return Evidence(
            score=score
            + rarities.LASTING_WEIGHT * figures[:, f.LASTING]
            + rarities.FROZEN_WEIGHT * figures[:, f.FROZEN],
            alert=rarities.or_frozen(alert, figures),
        )

    def explain(self, figures: FloatArray) -> FloatArray:
        """What each feature adds to the alert evidence, among ordinary series.

        Each halving on the way to a leaf is due to one column, and it makes the sample rarer by the share of the box
        that is left. What is so for ordinary samples as well is taken off.
        """
        credits = self._column_credits()
        leaves = _leaves(self._columns, self._splits, seen(figures))
        found = np.stack([of_tree[leaf] for of_tree, leaf in zip(credits, leaves.T, strict=True)]).mean(axis=0)
        usual = np.einsum("tl,tlc->c", self._fitted(), credits) / self.trees
        above = np.maximum(found - usual, 0.0)
        # Strange in this series only: then all that made it rare is told.
        above = np.where(above.sum(axis=1, keepdims=True) > 0.0, above, found)
        parts = np.zeros((len(figures), len(f.FEATURE_NAMES)))
        for column, feature in enumerate(SEEN_FEATURES):
            parts[:, feature] += above[:, column] * self._unit
        return rarities.with_frozen(parts, figures)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"shares": self._fitted(), "scale": np.array([self._centre, self._unit])}

    @classmethod
    def from_arrays(cls, arrays: Arrays, parameters: Parameters) -> Self:
        """The trees that `to_arrays` put away. Raises ArtifactRejected when the arrays cannot be such."""
        try:
            trees, depth = int(parameters["trees"]), int(parameters["depth"])
            if not (0 < trees <= MOST_TREES and 0 < depth <= MOST_DEPTH):
                raise ArtifactRejected(f"{trees} half-space trees of depth {depth} are not used here")
            detector = cls(trees, depth, int(parameters["structure"]), float(parameters["usual"]))
            shares, (centre, unit) = arrays["shares"], arrays["scale"].tolist()
        except (KeyError, IndexError, ValueError, TypeError) as problem:
            raise ArtifactRejected(f"the half-space trees are incomplete: {problem!r}") from problem
        fits = shares.dtype == np.float64 and shares.shape == (trees, 2**depth)
        if not fits or not (shares > 0.0).all() or not (shares < 1.0).all() or not 0.0 < unit < 100.0 or centre < 0.0:
            raise ArtifactRejected("the half-space trees hold figures that cannot be")
        detector._shares, detector._centre, detector._unit = shares, centre, unit
        return detector

    def _column_credits(self) -> FloatArray:
        """Of each leaf the bits that each column adds to its rarity: shape (trees, leaves, columns)."""
        if self._credits is None:
            shares = self._fitted()
            credits = np.zeros((*shares.shape, len(COLUMNS)))
            of_node = shares
            for depth in reversed(range(self.depth)):
                # `of_node` has the nodes one deeper, from left to right, two for each that is halved at this depth.
                width = 2 ** (self.depth - depth - 1)
                bits = np.log2(np.repeat(of_node[:, 0::2] + of_node[:, 1::2], 2, axis=1) / of_node)
                columns = np.repeat(self._columns[:, 2**depth - 1 : 2 ** (depth + 1) - 1], 2, axis=1)
                for column in range(len(COLUMNS)):
                    credits[:, :, column] += np.repeat(np.where(columns == column, bits, 0.0), width, axis=1)
                of_node = of_node[:, 0::2] + of_node[:, 1::2]
            self._credits = credits
        return self._credits

    def _fitted(self) -> FloatArray:
        if self._shares is None:
            raise NotFitted(f"{self.name} is not fitted yet")
        return self._shares


def _grown(trees: int, depth: int, structure: int) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Of each inner node the column it halves, and where: shapes (trees, 2**depth - 1)."""
    rng = np.random.default_rng(structure)
    columns = rng.integers(0, len(COLUMNS), (trees, 2**depth - 1))
    splits = np.empty(columns.shape)
    for tree in range(trees):
        # Each tree sees a space that is moved a little, or all of them would split at the same places.
        width = _SPACE[:, 1] - _SPACE[:, 0]
        moved = _SPACE + (rng.uniform(-0.2, 0.2, len(_SPACE)) * width)[:, None]
        boxes = [moved]
        for node in range(columns.shape[1]):
            box, column = boxes[node], columns[tree, node]
            splits[tree, node] = box[column].mean()
            for side in (1, 0):
                half = box.copy()
                half[column, side] = splits[tree, node]
                boxes.append(half)
    return columns, splits


@compiled
def _leaves(columns: npt.NDArray[np.int64], splits: FloatArray, rows: FloatArray) -> npt.NDArray[np.int64]:
    """The leaf of each row in each tree, shape (rows, trees)."""
    trees, inner = splits.shape
    leaves = np.empty((len(rows), trees), dtype=np.int64)
    for tree in range(trees):
        for row in range(len(rows)):
            node = 0
            while node < inner:
                node = 2 * node + (2 if rows[row, columns[tree, node]] > splits[tree, node] else 1)
            leaves[row, tree] = node - inner
    return leaves


@compiled
def _judge(
    shares: FloatArray,
    leaves: npt.NDArray[np.int64],
    centre: float,
    unit: float,
    figures: FloatArray,
    starts: Starts,
    own: FloatArray,
    score: FloatArray,
    alert: FloatArray,
) -> None:
    trees, size = shares.shape
    for series in range(len(own)):
        of_series = own[series]
        for sample in range(starts[series], starts[series + 1]):
            if figures[sample, f.BEGINS] != 0.0:
                of_series[:] = 0.0
                of_series[_GROWN] = 1.0
            grown = of_series[_GROWN]
            total = of_series[_WEIGHT] / grown
            bits = 0.0
            for tree in range(trees):
                leaf = leaves[sample, tree]
                mass = of_series[_LEAVES + tree * size + leaf] / grown
                bits += log2((total + _PRIOR) / (mass + _PRIOR * shares[tree, leaf]))
                of_series[_LEAVES + tree * size + leaf] += grown
            of_series[_WEIGHT] += grown
            alert[sample] = max(bits / trees - centre, 0.0) * unit
            of_series[_HELD] = max(alert[sample], of_series[_HELD] * figures[sample, f.FADE])
            score[sample] = of_series[_HELD]
            of_series[_GROWN] = grown * (1.0 + 1.0 / _MEMORY)
            if of_series[_GROWN] > _MOST_GROWTH:
                for number in range(_LEAVES, len(of_series)):
                    of_series[number] /= of_series[_GROWN]
                of_series[_WEIGHT] /= of_series[_GROWN]
                of_series[_GROWN] = 1.0
