"""Training is seeded, balanced between series, can be done in chunks, and refuses too little."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import detectors
from ml.artifact import Model, checksum, dump
from ml.builtin import BUILTIN_VERSION, builtin_model
from ml.errors import ArtifactRejected, NotEnoughHistory
from ml.evaluate import MOST_HELD_BACK, WEEK_S, auroc, evaluate, held_back_from
from ml.injection import inject, spread_of
from ml.scoring import Unscored, score_batch
from ml.training import TrainingSet, fit_model, ordinary_rows
from tasks.retraining import Comparison
from tests.unit.ml.made import PER_DAY, START, daily


def gathered(count: int, max_rows: int = 900, seed: int = 5) -> TrainingSet:
    training = TrainingSet(seed, max_rows)
    for number in range(count):
        training.add(*daily(2 + number, seed=number))
    return training


def test_training_in_chunks_gives_the_same_model_as_in_one_go() -> None:
    chunked = TrainingSet(5, 900)
    for number in range(4):
        chunked = TrainingSet.from_bytes(chunked.to_bytes())
        chunked.add(*daily(2 + number, seed=number))
    assert dump(TrainingSet.from_bytes(chunked.to_bytes()).fit("v1")) == dump(gathered(4).fit("v1"))


def test_another_seed_gives_another_model() -> None:
    assert dump(gathered(2).fit("v1")) != dump(gathered(2, seed=6).fit("v1"))


def test_no_series_crowds_out_another() -> None:
    training = TrainingSet(1, max_rows=600)
    training.add(*daily(20))
    training.add(*daily(1.5, seed=1))
    training.add(*daily(20, seed=2))
    sizes = [len(draws) for draws, _ in training._parts]
    assert sizes == [228, 144, 228]  # 144: all that a day and a half has after the warm-up


def test_what_a_series_gave_up_is_gone_from_memory() -> None:
    training = TrainingSet(1, max_rows=100)
    for seed in range(4):
        training.add(*daily(3, seed=seed))
    training.table()
    held = sum(rows.nbytes if rows.base is None else rows.base.nbytes for _, rows in training._parts)
    assert held == training.table().nbytes


def test_a_model_of_too_little_history_is_refused() -> None:
    training = TrainingSet(1)
    training.add(*daily(1.2))
    training.add([], [])
    with pytest.raises(NotEnoughHistory) as refusal:
        training.fit("v1")
    assert (refusal.value.rows, refusal.value.needed) == (57, 256)


def test_a_model_knows_what_it_was_trained_on() -> None:
    model = gathered(3).fit("v7", parameters={"trees": 20})
    assert model.version == "v7"
    assert model.parameters["trees"] == 20
    assert model.trained_on["series"] == 3
    assert model.trained_on["rows"] == 900
    assert model.trained_on["ordinary_rows"] == 2700


def test_a_model_of_one_quiet_series_still_knows_what_is_ordinary_elsewhere() -> None:
    def alarms(ordinary_share: float) -> int:
        quiet = TrainingSet(1, ordinary_share=ordinary_share)
        quiet.add(*daily(5, noise=0.01))
        model = quiet.fit("v1")
        series = [daily(10, seed=seed, noise=noise) for seed in (1, 2) for noise in (1, 4)]
        return sum(len(found.anomalies) for found in score_batch(model, [Unscored(*one) for one in series]))

    assert alarms(ordinary_share=0.75) <= alarms(ordinary_share=0.0) / 3


def test_a_share_of_ordinary_rows_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="ordinary_share"):
        TrainingSet(1, ordinary_share=1.0)


def test_bytes_that_are_no_training_set_are_refused() -> None:
    for data in (b"", b"nonsense", dump(builtin_model())):
        with pytest.raises(ArtifactRejected):
            TrainingSet.from_bytes(data)


def test_the_built_in_model_is_the_same_in_every_process() -> None:
    code = "from ml import artifact, builtin; print(artifact.checksum(artifact.dump(builtin.builtin_model())))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == checksum(dump(builtin_model()))
    assert builtin_model().version == BUILTIN_VERSION


def test_scoring_loads_no_scikit_learn() -> None:
    code = "import sys, ml.scoring, ml.training, ml.evaluate; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_an_evaluation_is_the_same_for_the_same_seed() -> None:
    histories = [daily(5, seed=number) for number in range(2)]
    first = evaluate(builtin_model(), histories, seed=3)
    assert evaluate(builtin_model(), histories, seed=3) == first
    assert evaluate(builtin_model(), histories, seed=4) != first


def test_an_evaluation_finds_most_faults_in_a_quiet_series_and_few_false_alarms() -> None:
    found = evaluate(builtin_model(), [daily(6, seed=number) for number in range(4)], seed=1)
    assert (found.histories, found.faults) == (4, 24)
    assert found.auroc > 0.85
    assert found.detection_rate > 0.5
    assert found.false_alarms_per_week < 1
    assert found.to_dict()["detected"]["drop_to_zero"] == 1.0


def test_an_evaluation_is_better_than_that_of_a_model_of_something_else() -> None:
    training = TrainingSet(1, ordinary_share=0.0)
    training.add(*daily(4, noise=0.0))
    blind = training.fit("v1", parameters={"trees": 1, "score_weight": 500.0})
    histories = [daily(5, seed=number) for number in range(3)]
    assert evaluate(builtin_model(), histories, seed=1).auroc > evaluate(blind, histories, seed=1).auroc


def test_an_evaluation_of_nothing_but_short_histories_is_refused() -> None:
    with pytest.raises(NotEnoughHistory):
        evaluate(builtin_model(), [daily(0.5)], seed=1)


def test_an_evaluation_passes_over_short_histories() -> None:
    assert evaluate(builtin_model(), [daily(0.5), daily(4.2), daily(4.4)], seed=1).histories == 1


@pytest.mark.parametrize("step", [15.0, 60.0, 300.0])
def test_a_model_is_measured_alike_however_fast_samples_come(step: float) -> None:
    def broken(parameters: dict[str, float]) -> Model:
        return fit_model("broken", ordinary_rows()[:3000], {"seed": 7}, parameters=parameters)

    histories = [daily(9, seed=number, step=step) for number in range(2)]
    good = evaluate(builtin_model(), histories, seed=1)
    assert good.detection_rate > 0.7
    assert good.false_alarms_per_week < 1.5
    for parameters in ({"alert_weight": -1e6}, {"trees": 1, "score_weight": 500.0}):
        assert not Comparison(evaluate(broken(parameters), histories, seed=1), good).is_no_worse


@given(st.integers(0, 1000), st.sampled_from(detectors.names()))
@settings(max_examples=4, deadline=None)
def test_faults_scored_from_where_they_begin_have_the_figures_of_the_whole(seed: int, algorithm: str) -> None:
    model, (times, values) = builtin_model(algorithm), daily(5, seed=seed)
    cut = held_back_from(times)
    rest = np.array(values[cut:])
    areas, hits = [], []
    for fault in inject(rest, spread_of(np.array(values[:cut])), [seed, 0]):
        end = cut + len(fault.values)
        (whole,) = score_batch(model, [Unscored(times[:end], [*values[:cut], *fault.values.tolist()])])
        labels = fault.values != rest[: len(fault.values)]
        areas.append(auroc(labels, np.array(whole.scores[cut:])))
        hits.append(any(anomaly.sample >= cut + fault.start for anomaly in whole.anomalies))
    (clean,) = score_batch(model, [Unscored(times, values)])
    weeks = (times[-1] - times[cut]) / WEEK_S
    found = evaluate(model, [(times, values)], seed)
    assert found.auroc == pytest.approx(np.mean(areas))
    assert found.detection_rate == np.mean(hits)
    assert found.false_alarms_per_week == sum(anomaly.sample >= cut for anomaly in clean.anomalies) / weeks


@given(st.integers(1, 60_000), st.integers(0, 30_000), st.sampled_from([1.0, 15.0, 60.0, 300.0, 3600.0]))
def test_a_longer_history_holds_back_all_that_a_shorter_one_does(samples: int, more: int, step: float) -> None:
    times = [START + place * step for place in range(samples + more)]
    assert more + held_back_from(times[more:]) >= held_back_from(times)
    assert samples - held_back_from(times[more:]) <= max(MOST_HELD_BACK, 1)


def test_figures_gathered_in_chunks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gathered(3, max_rows=300).table()
    monkeypatch.setattr("ml.features.CHUNK", 101)
    assert (gathered(3, max_rows=300).table() == whole).all()


def test_a_trained_model_scores_through_the_same_path() -> None:
    times, values = daily(3)
    (found,) = score_batch(gathered(2).fit("v1"), [Unscored(times, [*values[:-1], 500.0])])
    assert found.scores[-1] > max(found.scores[PER_DAY:-1]) + 0.1
    assert [anomaly.sample for anomaly in found.anomalies] == [len(times) - 1]


@pytest.mark.parametrize("name", detectors.names())
def test_every_detector_is_trained_in_the_same_way(name: str) -> None:
    model = gathered(2).fit("v1", name)
    assert model.algorithm == name
    times, values = daily(3)
    (found,) = score_batch(model, [Unscored(times, [*values[:-1], 500.0])])
    assert [anomaly.sample for anomaly in found.anomalies] == [len(times) - 1]
