"""The nearest vectors are found among pages of stored ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm.nearest import as_bytes, nearest, vector

numbers = st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3)


@given(numbers, st.lists(numbers, max_size=20), st.integers(1, 5), st.integers(1, 4))
def test_they_are_those_of_the_greatest_cosine(
    one: list[float], others: list[list[float]], size: int, limit: int
) -> None:
    wanted = vector(one)
    if wanted is None:
        return
    stored = [(place, vector(other)) for place, other in enumerate(others)]
    kept = [(place, direction) for place, direction in stored if direction is not None]
    pages = [
        ([place for place, _ in kept[at : at + size]], [as_bytes(direction) for _, direction in kept[at : at + size]])
        for at in range(0, len(kept), size)
    ]
    found = nearest(wanted, pages, limit=limit)
    assert len(found) == min(limit, len(kept))
    cosines = {place: float(np.dot(direction, wanted)) for place, direction in kept}
    assert all(abs(found[place] - cosines[place]) < 1e-5 for place in found)
    rest = [cosine for place, cosine in cosines.items() if place not in found]
    assert not rest or min(found.values()) >= max(rest) - 1e-5


def test_vectors_of_another_model_and_none_are_passed_over() -> None:
    wanted = vector([1.0, 0.0])
    assert wanted is not None
    assert nearest(wanted, [([1, 2], [b"", as_bytes(np.ones(7, dtype=np.float32))]), ([], [])], limit=3) == {}
    assert vector([]) is None
    assert vector([0.0, 0.0]) is None
    assert vector([float("nan"), 1.0]) is None
