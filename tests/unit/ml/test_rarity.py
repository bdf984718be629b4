"""How rare a size is, in bits: from a fading histogram of the series' own, and a prior."""

from itertools import pairwise
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import rarity
from ml.memory import BINS

sizes = st.floats(0, 1e12)


def histogram(seen: list[float]) -> rarity.Histogram:
    filled = np.zeros(BINS, dtype=np.float32)
    for size in seen:
        rarity.mass(filled, size, 1.0)
    return filled


@given(st.lists(sizes, max_size=50), sizes)
def test_the_mass_above_a_size_is_right_to_half_an_octave(seen: list[float], size: float) -> None:
    above = rarity.mass(histogram(seen), size, 1.0)
    least = sum(1 for one in seen if min(one, 2.0**11.5) > size * 2**0.5)
    most = sum(1 for one in seen if one * 2**0.5 >= min(size, 2.0**11.5) or one <= rarity.LOWEST)
    assert least - 1e-6 <= above <= most + 1e-6


@given(st.lists(sizes, max_size=50), st.lists(sizes, min_size=2, max_size=8))
def test_a_larger_size_is_never_less_rare(seen: list[float], asked: list[float]) -> None:
    total = float(len(seen))
    for bits_of in (rarity.plain, rarity.sceptic):
        bits = [bits_of(rarity.mass(histogram(seen), size, 0.0), total, size) for size in sorted(asked)]
        assert all(one <= other + 1e-12 for one, other in pairwise(bits))
        assert all(0.0 <= one <= log2((total + rarity.SCEPTIC) * rarity.LARGEST**1.5) for one in bits)


def test_a_size_that_was_never_seen_is_rarer_the_longer_the_history() -> None:
    for bits_of in (rarity.plain, rarity.sceptic):
        bits = [bits_of(0.0, total, 50.0) for total in (0.0, 100.0, 1_000.0, 8_000.0)]
        assert bits == sorted(bits)
        assert len(set(bits)) == len(bits)


def test_a_size_that_half_of_the_history_has_is_one_bit_rare() -> None:
    assert rarity.plain(5_000.0, 10_000.0, 1.0) == pytest.approx(1.0, abs=0.01)
    assert rarity.sceptic(5_000.0, 10_000.0, 1.0) == pytest.approx(1.0, abs=0.05)
