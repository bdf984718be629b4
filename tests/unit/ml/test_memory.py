"""What is remembered of a series survives its way through bytes; what can't be read costs no neighbour."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from ml import detectors
from ml import memory as m
from ml.builtin import builtin_model
from ml.features import needs_rings
from ml.memory import Memory
from ml.scoring import Unscored, score_batch
from tests.unit.ml.made import START, STEP, daily, samples, scored, unrolled

HOUR = 3600.0


def remembered(days: float = 2) -> Memory:
    return scored(*daily(days)).memory


@given(samples)
@settings(max_examples=40, deadline=None)
def test_a_memory_comes_back_from_its_bytes_as_it_was(pairs: list[tuple[float, float]]) -> None:
    memory = scored(*unrolled(pairs)).memory
    states = m.recall([memory], "isolation_forest", np.zeros(0))
    assert states.refused == [None]
    assert m.put_away(states, "isolation_forest", np.array([True])) == [memory]


@pytest.mark.parametrize("algorithm", detectors.names())
def test_the_memory_of_a_series_has_a_fixed_size_under_twenty_kilobytes(algorithm: str) -> None:
    model = builtin_model(algorithm)
    sizes = set()
    for times, values in (daily(1 / 288), daily(3, step=60), daily(40, step=900)):
        memory = scored(times, values, model=model).memory
        assert memory.rings is not None
        sizes.add(len(memory.hot) + len(memory.rings))
    assert len(sizes) == 1
    assert max(sizes) < (8_000 if algorithm in ("isolation_forest", "seasonal_baseline") else 20_000)


@pytest.mark.parametrize(
    "damage",
    [
        lambda hot: b"",
        lambda hot: b"x" * 50,
        lambda hot: b"x" * len(hot),
        lambda hot: hot[:-1],
        lambda hot: hot + b"\0",
        lambda hot: hot[:900],
        lambda hot: b"SSM\x02" + hot[4:],  # the release before
        lambda hot: b"SSM\x63" + hot[4:],
        lambda hot: hot[:16] + b"\xff" * 16 + hot[32:],
    ],
)
def test_bytes_that_are_no_memory_of_this_release_start_the_series_afresh(damage) -> None:
    good, bad = remembered(), remembered()
    times = [START + 2 * 86_400]
    unreadable = replace(bad, hot=damage(bad.hot))
    series = [Unscored(times, [50.0], good), Unscored(times, [50.0], unreadable), Unscored(times, [50.0])]
    fine, afresh, new = score_batch(builtin_model(), series)
    assert fine.refused is None
    assert afresh.refused
    assert (afresh.scores, afresh.states, afresh.memory) == (new.scores, new.states, new.memory)
    assert fine.scores != new.scores


def test_rings_of_another_length_start_the_series_afresh() -> None:
    memory = remembered()
    assert memory.rings is not None
    found = scored([START + 2 * 86_400], [1.0], memory=replace(memory, rings=memory.rings[:-8]))
    assert found.refused == "rings of 5368 bytes, 5376 are needed"
    assert found.states == ["warming_up"]


def test_rings_are_needed_and_given_back_only_when_an_hour_ends() -> None:
    times, values = daily(2)
    memory = scored(times, values).memory
    within = scored([times[-1] + STEP / 2], [50.0], memory=replace(memory, rings=None))
    assert within.memory.rings is None
    assert not needs_rings(memory.hot, times[-1] + STEP / 2)
    assert needs_rings(memory.hot, times[-1] + HOUR)
    with pytest.raises(ValueError, match="rings"):
        scored([times[-1] + HOUR], [50.0], memory=replace(memory, rings=None))
    assert scored([times[-1] + HOUR], [50.0], memory=memory).memory.rings is not None


@pytest.mark.parametrize("hot", [None, b"", b"of another release"])
def test_a_series_that_starts_afresh_needs_no_rings(hot: bytes | None) -> None:
    assert not needs_rings(hot, START)
    memory = None if hot is None else Memory(hot, None)
    assert scored([START], [1.0], memory=memory).memory.rings is not None


@pytest.mark.parametrize("algorithm", detectors.names())
@pytest.mark.parametrize("after", detectors.names())
def test_another_detector_goes_on_with_what_is_known_of_the_series(algorithm: str, after: str) -> None:
    times, values = daily(3)
    memory = scored(times, values, model=builtin_model(algorithm)).memory
    found = scored([times[-1] + STEP], [500.0], memory=memory, model=builtin_model(after))
    assert found.refused is None
    assert found.states == ["scoring"]
    assert len(found.anomalies) == 1


def test_a_memory_of_the_same_samples_is_the_same_whatever_came_before_a_silence() -> None:
    times, values = daily(2)
    later = [time + 20 * 86_400 for time in times]
    assert scored([*times, *later], values + values).memory == scored(later, values).memory


def test_what_a_shadow_remembers_comes_back_and_begins_with_what_the_other_knows() -> None:
    own = m.begin_own(2, np.zeros(3))
    own.paging[0] = 5.0
    own.numbers[1] = [1.0, 2.0, 3.0]
    put_away = m.put_own_away(own, "ensemble")
    otherwise = m.begin_own(2, np.zeros(3))
    back = m.recall_own(put_away, "ensemble", np.zeros(3), otherwise)
    assert np.array_equal(back.paging, own.paging, equal_nan=True)
    assert np.array_equal(back.numbers, own.numbers)
    for unreadable in (None, b"", put_away[0][:-1]):
        begun = m.recall_own([unreadable, put_away[1]], "ensemble", np.zeros(3), otherwise)
        assert np.array_equal(begun.paging[0], otherwise.paging[0], equal_nan=True)
    assert np.array_equal(m.recall_own(put_away, "other", np.ones(2), otherwise).numbers, np.ones((2, 2)))
