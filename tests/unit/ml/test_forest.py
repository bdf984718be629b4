"""The flattened forest is scikit-learn's forest, row by row the same in any batch, and grows beyond its training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest as Reference

from ml import detectors
from ml.detectors.base import FloatArray
from ml.detectors.isolation_forest import IsolationForest
from ml.errors import ArtifactRejected, NotFitted

WIDTH = 5


def table(rows: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, WIDTH)) * [1, 2, 0.1, 5, 1]


@pytest.fixture(scope="module")
def fitted() -> IsolationForest:
    forest = IsolationForest()
    forest.fit(table(3000), seed=7)
    return forest


@pytest.mark.parametrize("rows", [2, 40, 300, 3000])
def test_the_flattened_forest_scores_like_scikit_learn(rows: int) -> None:
    forest = IsolationForest(trees=50)
    forest.fit(table(rows), seed=3)
    reference = Reference(n_estimators=50, max_samples=min(256, rows), random_state=3).fit(table(rows))
    others = np.concatenate([table(500, seed=1) * 2, table(rows)[:100]])
    assert forest.forest_score(others) == pytest.approx(-reference.score_samples(others), abs=1e-6)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_a_row_scores_the_same_to_the_last_bit_alone_and_in_any_batch(
    fitted: IsolationForest, sizes: list[int]
) -> None:
    rows = table(sum(sizes), seed=2) * 3
    whole = fitted.score(rows)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    assert np.concatenate([fitted.score(part) for part in parts]).tolist() == whole.tolist()
    assert fitted.score(rows[-1:]).tolist() == whole[-1:].tolist()
    assert fitted.score(np.asfortranarray(rows)).tolist() == whole.tolist()


@given(st.lists(st.floats(-1, 1), min_size=WIDTH, max_size=WIDTH).filter(lambda d: max(map(abs, d)) > 0.01))
@settings(max_examples=50, deadline=None)
def test_beyond_the_training_data_a_bigger_deviation_never_scores_lower(
    fitted: IsolationForest, direction: list[float]
) -> None:
    # A direction that moves a feature at all takes it out of its box; the others stay at the centre.
    towards = np.array([0.0 if abs(part) < 0.01 else part for part in direction])
    rows = fitted.centre() + np.outer(4.0 ** np.arange(6, 14), towards)
    scores = fitted.score(rows)
    assert (np.diff(scores) >= 0).all()


def test_scores_lie_between_0_and_1_and_far_outside_is_stranger_than_inside(fitted: IsolationForest) -> None:
    scores = fitted.score(np.array([fitted.centre(), fitted.centre() + 100, fitted.centre() - 1e12]))
    assert 0 <= scores.min() <= scores.max() <= 1
    assert scores[0] < 0.5 < 0.9 < scores[1] <= scores[2]


def test_the_same_rows_and_seed_give_the_same_forest(fitted: IsolationForest) -> None:
    again = IsolationForest()
    again.fit(table(3000), seed=7)
    other = IsolationForest()
    other.fit(table(3000), seed=8)
    rows = table(200, seed=5)
    assert again.score(rows).tolist() == fitted.score(rows).tolist()
    assert other.score(rows).tolist() != fitted.score(rows).tolist()


def test_a_forest_put_away_and_restored_scores_the_same(fitted: IsolationForest) -> None:
    restored = detectors.restore("isolation_forest", fitted.to_arrays(), fitted.parameters)
    rows = table(200, seed=5)
    assert restored.score(rows).tolist() == fitted.score(rows).tolist()


def test_a_forest_that_was_not_fitted_says_so() -> None:
    with pytest.raises(NotFitted):
        IsolationForest().score(table(3))


def test_a_detector_or_a_parameter_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="crystal_ball"):
        detectors.create("crystal_ball")
    with pytest.raises(ValueError, match="colour"):
        detectors.create("isolation_forest", colour=3)
    assert detectors.create("isolation_forest", trees=7).parameters["trees"] == 7


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
        _with("length", lambda a: a[:, :-1]),
        _with("length", lambda a: -1 - a),
        _with("box", lambda a: a + np.inf),
        _with("box", lambda a: a[:2]),
        _with("normal", lambda a: a * 0),
        _with("normal", lambda a: a[:0]),
    ],
)
def test_arrays_that_cannot_be_a_forest_are_refused(fitted: IsolationForest, damage) -> None:
    with pytest.raises(ArtifactRejected):
        detectors.restore("isolation_forest", damage(fitted.to_arrays()), fitted.parameters)


def test_a_model_of_an_unknown_detector_is_refused(fitted: IsolationForest) -> None:
    with pytest.raises(ArtifactRejected, match="crystal_ball"):
        detectors.restore("crystal_ball", fitted.to_arrays(), fitted.parameters)
