"""One list of checks, and every detector through all of it."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import detectors
from ml import features as f
from ml.artifact import Model, checksum, dump, load
from ml.builtin import builtin_model
from ml.detectors.base import Detector
from ml.errors import ArtifactRejected, NotFitted
from ml.evaluate import auroc, average_precision
from ml.injection import FAULTS, spread_of
from ml.scoring import Unscored, score_batch
from ml.training import ORDINARY_SEED, fit_model
from tests.unit.ml.made import (
    PER_DAY,
    START,
    STEP,
    alarms,
    daily,
    figures_of,
    in_batches,
    ordinary_table,
    samples,
    scored,
    unrolled,
)

every_detector = pytest.mark.parametrize("name", detectors.names())


def with_a_spike() -> tuple[list[float], list[float]]:
    times, values = daily(3)
    values[700:705] = [200.0] * 5
    return times, values


def fitted(name: str, seed: int = 3) -> Detector:
    detector = detectors.create(name)
    detector.fit(ordinary_table(), seed)
    return detector


@every_detector
@given(pairs=samples, cuts=st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=25, deadline=None)
def test_any_way_to_cut_a_series_into_batches_gives_the_same_figures_and_memory(
    name: str, pairs: list[tuple[float, float]], cuts: list[int]
) -> None:
    times, values = unrolled(pairs)
    cuts = sorted(min(cut, len(times)) for cut in cuts)
    model = builtin_model(name)
    assert in_batches(times, values, cuts, model) == scored(times, values, model=model)


@every_detector
def test_a_long_series_scored_sample_by_sample_gives_the_same_figures(name: str) -> None:
    times, values = with_a_spike()
    model = builtin_model(name)
    whole = scored(times, values, model=model)
    assert in_batches(times, values, range(600, 800), model) == whole
    assert whole.anomalies


@every_detector
@given(pairs=samples, cut=st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_cutting_the_future_off_changes_no_past_figure(name: str, pairs: list[tuple[float, float]], cut: int) -> None:
    times, values = unrolled(pairs)
    whole = scored(times, values, model=builtin_model(name))
    part = scored(times[:cut], values[:cut], model=builtin_model(name))
    assert (part.scores, part.alerts, part.states) == (whole.scores[:cut], whole.alerts[:cut], whole.states[:cut])
    assert part.anomalies == [anomaly for anomaly in whole.anomalies if anomaly.sample < cut]


@every_detector
def test_another_future_changes_no_past_figure_of_a_long_series(name: str) -> None:
    times, values = with_a_spike()
    whole = scored(times, values, model=builtin_model(name))
    for cut in (1, 289, 702, 863):
        other = scored(times, [*values[:cut], *[1e9] * (len(values) - cut)], model=builtin_model(name))
        assert (other.scores[:cut], other.alerts[:cut]) == (whole.scores[:cut], whole.alerts[:cut])


@every_detector
def test_series_scored_together_have_the_figures_of_each_alone(name: str) -> None:
    model = builtin_model(name)
    series = [daily(2 + seed / 10, seed=seed, step=300 + 60 * seed) for seed in range(5)]
    together = score_batch(model, [Unscored(times, values) for times, values in series])
    assert together == [scored(times, values, model=model) for times, values in series]


@every_detector
@given(pairs=samples)
@settings(max_examples=40, deadline=None)
def test_figures_of_any_finite_series_lie_between_0_and_1(name: str, pairs: list[tuple[float, float]]) -> None:
    found = scored(*unrolled(pairs), model=builtin_model(name))
    assert all(0 <= figure <= 1 for figure in found.scores + found.alerts)


@every_detector
def test_the_same_rows_and_seed_give_the_same_detector(name: str) -> None:
    trained_on = {"seed": 5}
    models = [fit_model("v", ordinary_table(), trained_on, name) for _ in range(2)]
    assert dump(models[0]) == dump(models[1])


@every_detector
def test_what_it_is_given_stays_as_it_was(name: str) -> None:
    table = ordinary_table().copy()
    table.flags.writeable = False
    detector = detectors.create(name)
    detector.fit(table, 3)
    own = np.tile(detector.beginning(), (1, 1))
    evidence = detector.judge(table, np.array([0, len(table)], dtype=np.int64), own)
    detector.explain(table)
    assert evidence.score.shape == evidence.alert.shape == (len(table),)
    times, values = tuple(daily(1)[0]), tuple(daily(1)[1])
    memory = scored(times, values, model=builtin_model(name)).memory
    before = astuple(memory)
    scored([times[-1] + STEP], [1e6], memory=memory, model=builtin_model(name))
    assert astuple(memory) == before


@every_detector
@pytest.mark.parametrize("factor", [2.0**-30, 2.0**20, -1.0])
def test_a_series_in_another_unit_has_the_same_figures(name: str, factor: float) -> None:
    times, values = with_a_spike()
    model = builtin_model(name)
    plain, other = scored(times, values, model=model), scored(times, [v * factor for v in values], model=model)
    assert (other.scores, other.alerts) == (plain.scores, plain.alerts)


@every_detector
@pytest.mark.parametrize("change", [lambda v: v * 1000.0, lambda v: v * 1.8 + 32.0])
def test_a_change_of_unit_with_rounding_moves_figures_by_next_to_nothing(name: str, change) -> None:
    times, values = with_a_spike()
    model = builtin_model(name)
    plain, other = scored(times, values, model=model), scored(times, [change(v) for v in values], model=model)
    assert other.scores == pytest.approx(plain.scores, abs=0.02)
    assert [a.sample for a in other.anomalies] == [a.sample for a in plain.anomalies]


@every_detector
def test_a_detector_put_away_and_restored_says_the_same(name: str) -> None:
    model = builtin_model(name)
    data = dump(model)
    restored = load(data, checksum(data))
    times, values = with_a_spike()
    assert scored(times, values, model=restored) == scored(times, values, model=model)
    assert dump(restored) == data


@every_detector
@pytest.mark.parametrize("fault", FAULTS)
def test_it_ranks_planted_faults_above_chance(name: str, fault: str) -> None:
    areas, precisions, shares = [], [], []
    for seed in range(3):
        times, values = daily(6, seed=seed)
        clean = np.array(values)
        rng = np.random.default_rng(seed)
        start, length = 4 * PER_DAY + int(rng.integers(0, PER_DAY)), 30
        faulty = clean.copy()
        hit = slice(start, start + length)
        faulty[hit] = FAULTS[fault](rng, clean[hit], spread_of(clean))
        scores = np.array(scored(times[: hit.stop], faulty[: hit.stop].tolist(), model=builtin_model(name)).scores)
        labels = (faulty != clean)[: hit.stop][PER_DAY:]
        areas.append(auroc(labels, scores[PER_DAY:]))
        precisions.append(average_precision(labels, scores[PER_DAY:]))
        shares.append(labels.mean())
    assert np.mean(areas) > 0.75
    assert np.mean(precisions) > 2 * np.mean(shares)


@every_detector
@pytest.mark.parametrize("hours", [0.5, 5, 30])
def test_a_gap_raises_no_alarm(name: str, hours: float) -> None:
    times, values = daily(8)
    gap = slice(1000, 1000 + int(hours * 12))
    del times[gap], values[gap]
    assert alarms(times, values, builtin_model(name)) == []


@every_detector
@pytest.mark.parametrize("level", [0.0, 5.0, -1e9])
def test_a_constant_series_is_silent_until_it_moves(name: str, level: float) -> None:
    times, _ = daily(3)
    values = [level] * len(times)
    model = builtin_model(name)
    still = scored(times, values, model=model)
    assert still.anomalies == []
    assert max(still.scores[PER_DAY:]) < 0.2
    values[-6:] = [level * 1.2 or 1.0] * 6
    found = alarms(times, values, model)
    assert found
    assert min(found) >= len(times) - 6


@every_detector
def test_a_step_change_is_flagged_within_the_hour(name: str) -> None:
    times, values = daily(7, noise=2.0)
    at = 5 * PER_DAY + 100
    stepped = [value + (60.0 if place >= at else 0.0) for place, value in enumerate(values)]
    found = [place for place in alarms(times, stepped, builtin_model(name)) if place >= at]
    assert found
    assert found[0] - at < 12


@every_detector
def test_a_noisy_daily_series_raises_no_alarm(name: str) -> None:
    for seed in range(3):
        assert alarms(*daily(10, seed=seed), builtin_model(name)) == []


@every_detector
def test_one_sample_and_none_have_figures_and_no_alarm(name: str) -> None:
    model = builtin_model(name)
    one = scored([START], [3.0], model=model)
    assert (len(one.scores), one.states, one.anomalies) == (1, ["warming_up"], [])
    none = scored([], [], model=model)
    assert (none.scores, none.alerts, none.states, none.anomalies) == ([], [], [], [])


@every_detector
def test_a_hundred_thousand_samples_are_scored_at_once(name: str) -> None:
    rng = np.random.default_rng(4)
    values = rng.choice([1e300, -1e300, 0.0, 5e-324, 1.0], 100_000).tolist()
    found = scored([START + 60.0 * place for place in range(100_000)], values, model=builtin_model(name))
    assert len(found.scores) == 100_000
    assert all(0 <= figure <= 1 for figure in found.scores + found.alerts)


@every_detector
def test_an_anomaly_says_what_was_expected_and_shares_of_its_reasons(name: str) -> None:
    times, values = daily(4)
    values[-1] = 120.0
    (anomaly,) = scored(times, values, model=builtin_model(name)).anomalies
    assert anomaly.expected_low < 50 < anomaly.expected_high < 120
    assert {part.name for part in anomaly.contributions} == set(f.FEATURE_NAMES)
    shares = [part.contribution for part in anomaly.contributions]
    assert shares == sorted(shares, reverse=True)
    assert all(share >= 0 for share in shares)
    assert sum(shares) == pytest.approx(1.0)
    assert anomaly.contributions[0].value > 0


@every_detector
def test_a_detector_that_was_not_fitted_says_so(name: str) -> None:
    detector = detectors.create(name)
    figures = figures_of(*daily(0.1))
    own = np.tile(detector.beginning(), (1, 1))
    with pytest.raises(NotFitted):
        detector.judge(figures, np.array([0, len(figures)], dtype=np.int64), own)
    with pytest.raises(NotFitted):
        detector.explain(figures)
    with pytest.raises(NotFitted):
        detector.to_arrays()


@every_detector
def test_arrays_that_are_gone_or_of_another_shape_are_refused(name: str) -> None:
    detector = fitted(name)
    arrays = detector.to_arrays()
    for missing in arrays:
        with pytest.raises(ArtifactRejected):
            detectors.restore(name, {k: v for k, v in arrays.items() if k != missing}, detector.parameters)
        with pytest.raises(ArtifactRejected):
            detectors.restore(name, {**arrays, missing: arrays[missing][:0]}, detector.parameters)
        with pytest.raises(ArtifactRejected):
            detectors.restore(name, {**arrays, missing: arrays[missing] * np.nan}, detector.parameters)


def test_the_built_in_models_are_of_one_seed_and_have_names_of_their_own() -> None:
    models: list[Model] = [builtin_model(name) for name in detectors.names()]
    assert [model.version for model in models] == [
        "builtin-2",
        "builtin-2-seasonal_baseline",
        "builtin-2-half_space_trees",
        "builtin-2-ensemble",
    ]
    assert {model.trained_on["seed"] for model in models} == {ORDINARY_SEED}


def test_a_detector_or_a_parameter_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="crystal_ball"):
        detectors.create("crystal_ball")
    with pytest.raises(ValueError, match="colour"):
        detectors.create("isolation_forest", colour=3)
    with pytest.raises(ArtifactRejected, match="crystal_ball"):
        detectors.restore("crystal_ball", {}, {})
    assert detectors.create("isolation_forest", trees=7).parameters["trees"] == 7
