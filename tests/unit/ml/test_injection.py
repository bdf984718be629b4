"""Faults put into real history: each kind, where and how large by the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ml.injection import KINDS, LONGEST, SHORTEST, inject, spread_of

histories = arrays.arrays(np.float64, st.integers(2 * LONGEST, 300), elements=st.floats(-1e6, 1e6))
seeds = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3)


@given(histories, seeds)
def test_each_kind_of_fault_is_put_in_once_and_nothing_before_it_is_changed(
    values: np.ndarray, seed: list[int]
) -> None:
    before = values.copy()
    found = inject(values, 1.0, seed)
    assert tuple(one.kind for one in found) == KINDS
    for one in found:
        length = len(one.values) - one.start
        assert SHORTEST <= length < LONGEST
        assert (one.values[: one.start] == values[: one.start]).all()
        assert np.isfinite(one.values).all()
    assert (values == before).all()


@given(histories, seeds)
def test_the_same_seed_gives_the_same_faults(values: np.ndarray, seed: list[int]) -> None:
    first, second = inject(values, 2.0, seed), inject(values, 2.0, seed)
    assert all((one.values == other.values).all() for one, other in zip(first, second, strict=True))
    places = {tuple(one.start for one in inject(values, 2.0, [*seed, more])) for more in range(8)}
    assert len(places) > 1


@given(histories, seeds, st.sampled_from([1e-6, 0.5, 1e6]))
def test_a_fault_is_as_large_in_any_unit(values: np.ndarray, seed: list[int], unit: float) -> None:
    plain, scaled = inject(values, 3.0, seed), inject(values * unit, 3.0 * unit, seed)
    for one, other in zip(plain, scaled, strict=True):
        assert np.allclose(one.values * unit, other.values, rtol=1e-9, atol=1e-6 * unit)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_clearly_outside_of_what_was(kind: str) -> None:
    values = 50.0 + np.random.default_rng(0).standard_normal(200)
    (one,) = (one for one in inject(values, spread_of(values), [3]) if one.kind == kind)
    fault, ordinary = one.values[one.start :], values[one.start : len(one.values)]
    if kind == "stuck":
        assert len(set(fault)) == 1
    elif kind == "variance":
        assert fault.std() > 1.5 * ordinary.std()
    else:
        assert np.abs(fault - ordinary).max() > spread_of(values)
    if kind == "trend":
        away = np.abs(fault - ordinary)
        assert (np.diff(away) > 0.0).all()


@pytest.mark.parametrize(
    ("values", "spread"), [([0.0, 1.0], 0.8), ([5.0] * 9, 0.5), ([0.0] * 9, 1.0), ([], 1.0), ([-20.0], 2.0)]
)
def test_a_series_has_a_yardstick_even_when_it_stands_still(values: list[float], spread: float) -> None:
    assert spread_of(np.array(values)) == pytest.approx(spread)


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(ValueError, match="72 are needed"):
        inject(np.zeros(71), 1.0, [1])
