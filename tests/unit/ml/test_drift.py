"""How far figures are from those of the training: 0 for the same, more for more, and told by feature."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.drift import Distribution, recent_figures
from ml.errors import ArtifactRejected
from ml.features import FEATURE_NAMES, FIGURES, STATE, SURPRISE
from tests.unit.ml.made import daily


def figures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, FIGURES))


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 1000), st.booleans())
def test_an_index_is_finite_and_never_below_zero(trained: int, lately: int, seed: int, discrete: bool) -> None:
    first, second = figures(trained, seed), 1.5 * figures(lately, seed + 1)
    if discrete:
        first, second = np.round(first), np.round(second)
    indexes = Distribution.of(first).psi(second)
    assert tuple(indexes) == FEATURE_NAMES
    assert all(np.isfinite(index) and index >= 0.0 for index in indexes.values())


@given(st.integers(0, 1000), st.booleans())
def test_the_same_figures_have_not_moved(seed: int, constant: bool) -> None:
    same = np.zeros((50, FIGURES)) if constant else figures(500, seed)
    assert max(Distribution.of(same).psi(same).values()) == pytest.approx(0.0, abs=1e-12)


def test_a_feature_that_moved_is_named_and_farther_is_more() -> None:
    trained = Distribution.of(figures(5000))
    found = []
    for shift in (0.0, 0.5, 1.0, 2.0):
        lately = figures(2000, seed=1)
        lately[:, SURPRISE] += shift
        indexes = trained.psi(lately)
        found.append(indexes["surprise"])
        assert all(index < 0.05 for name, index in indexes.items() if name != "surprise")
    assert found == sorted(found)
    assert found[0] < 0.05
    assert found[1] > 0.1
    assert found[2] > 0.25


def test_a_distribution_survives_being_stored() -> None:
    trained = Distribution.of(figures(300))
    stored = Distribution.from_dict(json.loads(json.dumps(trained.to_dict())))
    lately = figures(100, seed=2)
    assert stored.psi(lately) == trained.psi(lately)


@pytest.mark.parametrize(
    "broken", [{}, {"samples": 0}, {"edges": {}}, {"shares": {name: [1.0] for name in FEATURE_NAMES}}]
)
def test_what_is_no_distribution_is_refused(broken: dict[str, object]) -> None:
    whole = Distribution.of(figures(300)).to_dict()
    with pytest.raises(ArtifactRejected):
        Distribution.from_dict({**whole, **broken} if broken else {})


def test_nothing_has_no_distribution() -> None:
    with pytest.raises(ValueError, match="no figures"):
        Distribution.of(figures(0))
    with pytest.raises(ValueError, match="no figures"):
        Distribution.of(figures(3)).psi(figures(0))


def test_recent_figures_are_those_of_warm_samples_since_then() -> None:
    times, values = daily(5)
    found = recent_figures([(times, values), daily(0.5), ([], [])], since=times[-1] - 86_400.0)
    assert found.shape == (289, FIGURES)
    assert (found[:, STATE] == 1.0).all()
    assert recent_figures([], since=0.0).shape == (0, FIGURES)
