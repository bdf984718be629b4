"""How far have the data moved away from what a model was trained on?  By the population stability index.

Below 0.1 little has changed, from 0.25 on much has. Each feature is compared alone, so the answer says what changed.
Source: Siddiqi (2006), Credit Risk Scorecards, chapter 7.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ml.detectors.base import FloatArray
from ml.errors import ArtifactRejected
from ml.features import FEATURE_NAMES, FIGURES, STATE, figures_in_chunks

BINS = 10
# Of one series: one a minute for a day, and a few more.
MOST_ROWS = 1_500
# An empty bin counts as this many samples, or a single new value would be infinitely far away.
_LEAST = 0.5
_SCORING = 1.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of each feature the inner edges of its bins, increasing, and the share of the samples in each bin."""

    edges: Mapping[str, Sequence[float]]
    shares: Mapping[str, Sequence[float]]
    samples: int

    @classmethod
    def of(cls, figures: FloatArray) -> Self:
        """The distribution of figures of shape (samples, FIGURES), in bins of about as many samples each.

        Raises ValueError when there are none.
        """
        if not len(figures):
            raise ValueError("no figures are given")
        edges, shares = {}, {}
        for column, name in enumerate(FEATURE_NAMES):
            inner = np.unique(np.quantile(figures[:, column], np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
            edges[name] = inner.tolist()
            shares[name] = (_counted(figures[:, column], inner) / len(figures)).tolist()
        return cls(edges, shares, len(figures))

    def psi(self, figures: FloatArray) -> dict[str, float]:
        """Of each feature how far these figures are from the distribution: from 0 (the same) upward.

        Raises ValueError when there are none.
        """
        if not len(figures):
            raise ValueError("no figures are given")
        return {
            name: _index(
                np.asarray(self.shares[name]) * self.samples,
                _counted(figures[:, column], np.asarray(self.edges[name])),
            )
            for column, name in enumerate(FEATURE_NAMES)
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"samples": self.samples, "edges": dict(self.edges), "shares": dict(self.shares)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` made. Raises ArtifactRejected for what it cannot have made, or of other features."""
        try:
            edges = {name: [float(edge) for edge in values["edges"][name]] for name in FEATURE_NAMES}
            shares = {name: [float(share) for share in values["shares"][name]] for name in FEATURE_NAMES}
            samples = int(values["samples"])
        except (KeyError, TypeError, ValueError) as problem:
            raise ArtifactRejected(f"the distribution is incomplete: {problem!r}") from problem
        if samples <= 0 or any(len(shares[name]) != len(edges[name]) + 1 for name in FEATURE_NAMES):
            raise ArtifactRejected("the distribution is of the wrong shape")
        return cls(edges, shares, samples)


def recent_figures(histories: Iterable[tuple[Sequence[float], Sequence[float]]], *, since: float) -> FloatArray:
    """Figures of the samples since then that are past the warm-up of their series; shape (samples, FIGURES).

    Each history, times and values, must begin early enough to know its series by then. Of a series at most `MOST_ROWS`
    samples count, evenly spread, so that one with many does not outweigh the others.
    """
    return np.concatenate([np.zeros((0, FIGURES)), *(_recent(times, values, since) for times, values in histories)])


def _recent(times: Sequence[float], values: Sequence[float], since: float) -> FloatArray:
    skipped = bisect_left(times, since)
    step = -(-(len(times) - skipped) // MOST_ROWS)  # 0 when nothing is recent
    parts, first = [np.zeros((0, FIGURES))], 0
    for figures in figures_in_chunks(times, values):
        places = np.arange(first, first + len(figures)) - skipped
        first += len(figures)
        if step:
            chosen = figures[(places >= 0) & (places % step == 0)]
            parts.append(chosen[chosen[:, STATE] == _SCORING])
    return np.concatenate(parts)


def _counted(values: FloatArray, edges: FloatArray) -> FloatArray:
    """How many values are in each bin; a value on an edge is in the lower one."""
    places = np.searchsorted(edges, values, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def _index(expected: FloatArray, found: FloatArray) -> float:
    first, second = (np.maximum(counts, _LEAST) / np.maximum(counts, _LEAST).sum() for counts in (expected, found))
    return float(np.sum((second - first) * np.log(second / first)))
