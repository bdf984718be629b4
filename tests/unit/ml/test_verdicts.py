"""What a model says of samples that people judged."""

from __future__ import annotations

import pytest

from ml.builtin import builtin_model
from ml.verdicts import Agreement, Judged, Verdict, agreement
from tests.unit.ml.made import daily

STEP_S = 300.0


def spiked(at: int) -> tuple[list[float], list[float]]:
    times, values = daily(5)
    values[at] += 80.0
    return times, values


@pytest.mark.parametrize(("off", "is_paged"), [(0, True), (10, True), (-10, True), (14, False), (-14, False)])
def test_an_anomaly_within_an_hour_of_a_judged_sample_counts_for_it(off: int, is_paged: bool) -> None:
    times, values = spiked(1200)
    for is_real in (True, False):
        found = agreement(builtin_model(), [Judged(times, values, [Verdict(times[1200 + off], is_real)])])
        expected = {"real": 0, "real_paged": 0, "false": 0, "false_paged": 0}
        kind = "real" if is_real else "false"
        assert found == Agreement(**{**expected, kind: 1, f"{kind}_paged": int(is_paged)})


def test_precision_is_the_share_of_real_ones_among_those_that_page() -> None:
    times, values = spiked(1200)
    verdicts = [Verdict(times[1200], True), Verdict(times[1201], False), Verdict(times[900], False)]
    found = agreement(builtin_model(), [Judged(times, values, verdicts), Judged([], [], [])])
    assert (found.real, found.false, found.precision) == (1, 2, 0.5)
    assert found.to_dict()["precision"] == 0.5


def test_without_verdicts_there_is_nothing_to_agree_on() -> None:
    found = agreement(builtin_model(), [])
    assert found == Agreement(0, 0, 0, 0)
    assert found.precision is None
