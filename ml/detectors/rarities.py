"""What do the rarities of a sample say by themselves?  The part that detectors have in common."""

import numpy as np

from ml import features as f
from ml.detectors.base import FloatArray

# Bits for ranking: the fading maximum counts in full; what lasts, what is new and what stands still are added.
LASTING_WEIGHT, NOVELTY_WEIGHT, FROZEN_WEIGHT = 2.5, 0.125, 0.1
# For paging, a series that stands still is strange by itself, however ordinary its value: so many bits a doubling, and
# no more than these, or it would rise out of the hold-off again and again.
FROZEN_PAGES, MOST_FROZEN = 1.5, 6.0
_PAGING = (f.RARE_SURPRISE, f.RARE_SEASONAL, f.RARE_SEASONAL_HOUR)
_PAGING_FEATURES = (f.SURPRISE, f.SEASONAL, f.SEASONAL_HOUR)
PARTS = len(_PAGING)


def score_bits(figures: FloatArray) -> FloatArray:
    """How strange the samples are and lately were, in bits."""
    bits: FloatArray = (
        figures[:, f.HELD]
        + NOVELTY_WEIGHT * figures[:, f.HELD_NOVELTY]
        + LASTING_WEIGHT * figures[:, f.LASTING]
        + FROZEN_WEIGHT * figures[:, f.FROZEN]
    )
    return bits


def alert_sum(figures: FloatArray) -> FloatArray:
    """The sum of `PARTS` rarities of each sample, in bits."""
    # One column after the other: a sum along rows may change its order with the shape of the batch.
    bits: FloatArray = figures[:, _PAGING[0]] + figures[:, _PAGING[1]] + figures[:, _PAGING[2]]
    return bits


def or_frozen(bits: FloatArray, figures: FloatArray) -> FloatArray:
    """The bits, or those of a series that stands still where they are more."""
    most: FloatArray = np.maximum(bits, _frozen_bits(figures))
    return most


def explained(figures: FloatArray, weight: float) -> FloatArray:
    """What the rarities add to the alert by feature, when each counts with this weight."""
    parts = np.zeros((len(figures), len(f.FEATURE_NAMES)))
    for rarity, feature in zip(_PAGING, _PAGING_FEATURES, strict=True):
        parts[:, feature] = weight * figures[:, rarity]
    return parts


def with_frozen(parts: FloatArray, figures: FloatArray) -> FloatArray:
    """The parts, with what standing still adds to them."""
    out = parts.copy()
    out[:, f.FROZEN] = np.maximum(_frozen_bits(figures) - parts.sum(axis=1), 0.0)
    return out


def _frozen_bits(figures: FloatArray) -> FloatArray:
    bits: FloatArray = np.minimum(FROZEN_PAGES * figures[:, f.FROZEN], MOST_FROZEN)
    return bits
