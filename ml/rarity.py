"""How rare is it for this series to be so far off?  In bits, from a fading histogram of its own sizes.

The rarity of a size is -log2 of the share of the time in which the series was as far off or farther. A prior stands in
for what was not seen yet: it falls as a power of the size, so a series that never moved knows at once that a large move
is rare. Rarities of different series compare, which is what sizes do not.
"""

from math import log2, sqrt

import numpy as np
import numpy.typing as npt

from ml.compiled import compiled
from ml.memory import BINS

Histogram = npt.NDArray[np.float32]

# Half octaves, from 2**-8 to 2**12 spreads; larger sizes than LARGEST count as that.
LOWEST_LOG, LOWEST = -8.0, 2.0**-8
LARGEST = 2.0**20
# Samples that the prior weighs: the plain one 1 / (1 + size ** 1.5), the sceptic one 1 / (1 + sqrt(size)).
PLAIN, SCEPTIC = 20.0, 500.0


@compiled
def mass(histogram: Histogram, size: float, weight: float) -> float:
    """The weight of what was of this size or larger; then the size itself enters with `weight`."""
    place = 0.0
    if size > LOWEST:
        place = min((log2(min(size, LARGEST)) - LOWEST_LOG) * 2.0, BINS - 1.0)
    bin_ = int(place)
    above = float(histogram[bin_]) * (1.0 - (place - bin_))
    for later in range(bin_ + 1, BINS):
        above += float(histogram[later])
    histogram[bin_] = float(histogram[bin_]) + weight
    return above


@compiled
def plain(above: float, total: float, size: float) -> float:
    """Rarity in bits, sure of itself after a few hours of history: what pages."""
    counted = min(size, LARGEST)
    return log2((total + PLAIN) / (above + PLAIN / (1.0 + counted * sqrt(counted))))


@compiled
def sceptic(above: float, total: float, size: float) -> float:
    """Rarity in bits that takes days of history to be sure of the rarest: what ranks."""
    return log2((total + SCEPTIC) / (above + SCEPTIC / (1.0 + sqrt(min(size, LARGEST)))))
