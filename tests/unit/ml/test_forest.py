"""The flattened forest is scikit-learn's forest, and its arrays are looked at before they are used."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Reference

from ml import detectors
from ml import features as f
from ml.detectors.base import FloatArray
from ml.detectors.isolation_forest import COLUMNS, IsolationForest, seen
from ml.errors import ArtifactRejected
from tests.unit.ml.made import ordinary_table


def table(rows: int, seed: int = 0) -> FloatArray:
    """Figures that are noise, of different widths in different columns."""
    figures = np.zeros((rows, f.FIGURES))
    figures[:, COLUMNS] = np.random.default_rng(seed).normal(size=(rows, len(COLUMNS))) * [1, 2, 0.1, 5, 1, 1]
    return figures


@pytest.fixture(scope="module")
def fitted() -> IsolationForest:
    forest = IsolationForest()
    forest.fit(table(3000), seed=7)
    return forest


@pytest.mark.parametrize("rows", [2, 40, 300, 3000])
def test_the_flattened_forest_scores_like_scikit_learn(rows: int) -> None:
    forest = IsolationForest(trees=50)
    forest.fit(table(rows), seed=3)
    learnt = seen(table(rows))
    reference = Reference(n_estimators=50, max_samples=min(256, rows), random_state=3).fit(learnt)
    others = np.concatenate([seen(table(500, seed=1)) * 2, learnt[:100]])
    assert forest.forest_score(others) == pytest.approx(-reference.score_samples(others), abs=1e-6)


def test_the_forest_sees_a_lasting_deviation_alike_on_both_sides() -> None:
    figures = table(100)
    other = figures.copy()
    other[:, [f.SEASONAL_4H, f.SEASONAL_12H]] *= -1.0
    assert seen(figures).tolist() == seen(other).tolist()
    assert figures[:, f.SEASONAL_4H].min() < 0, "the figures themselves stay as they are"


def test_what_is_far_from_all_it_has_seen_is_stranger(fitted: IsolationForest) -> None:
    rows = seen(ordinary_table())
    forest = IsolationForest()
    forest.fit(ordinary_table(), seed=1)
    centre = np.median(rows, axis=0)
    near, far = forest.forest_score(np.array([centre, centre + 50.0]))
    assert 0.0 < near < 0.46 < 0.6 < far < 1.0


def _with(name: str, change):
    return lambda arrays: {**arrays, name: change(arrays[name])}


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: {name: array for name, array in arrays.items() if name != "length"},
        _with("feature", lambda a: a + 99),
        _with("feature", lambda a: -1 - a),
        _with("feature", lambda a: a.astype(np.float64)),
        _with("threshold", lambda a: a[:, :-1]),
        _with("threshold", lambda a: a * np.nan),
        _with("threshold", lambda a: a.ravel()),
        _with("length", lambda a: a[:, :-1]),
        _with("length", lambda a: -1 - a),
        _with("centre", lambda a: a + np.inf),
        _with("centre", lambda a: a[:2]),
        _with("normal", lambda a: a * 0),
        _with("normal", lambda a: a[:0]),
    ],
)
def test_arrays_that_cannot_be_a_forest_are_refused(fitted: IsolationForest, damage) -> None:
    with pytest.raises(ArtifactRejected):
        detectors.restore("isolation_forest", damage(fitted.to_arrays()), fitted.parameters)
