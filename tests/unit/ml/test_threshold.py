"""One event pages once, usual peaks of a series wear off, and both figures lie between 0 and 1."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import features as f
from ml import memory as m
from ml.detectors.base import Evidence, FloatArray
from ml.threshold import DEFAULT_POLICY, Policy, calibrate

STEP = 300.0
PER_DAY = 288
NO_HOLD = replace(DEFAULT_POLICY, hold_off_s=0.0)
bits = st.floats(0, 60)


def alerts(
    found: list[float],
    policy: Policy = DEFAULT_POLICY,
    *,
    paging: FloatArray | None = None,
    warmth: float = 1.0,
    usual: bool = False,
    since: float = 0.0,
    step: float = STEP,
) -> list[float]:
    """Alert figures of one series with this evidence."""
    figures = np.zeros((len(found), f.FIGURES))
    figures[:, f.WARMTH] = warmth
    figures[:, f.USUAL] = usual
    times = since + step * np.arange(len(found))
    evidence = Evidence(np.array(found, dtype=np.float64), np.array(found, dtype=np.float64))
    starts = np.array([0, len(found)], dtype=np.int64)
    remembered = m.begin_own(1, np.zeros(0)).paging if paging is None else paging
    return calibrate(policy, evidence, figures, times, starts, remembered)[1].tolist()


def pages(found: list[float]) -> list[int]:
    return [place for place, alert in enumerate(found) if DEFAULT_POLICY.is_anomaly(alert)]


@given(st.lists(bits, max_size=80), st.integers(0, 80))
def test_any_way_to_cut_a_series_gives_the_same_alerts(found: list[float], cut: int) -> None:
    paging = m.begin_own(1, np.zeros(0)).paging
    cut = min(cut, len(found))
    parts = alerts(found[:cut], paging=paging, step=20_000.0)
    parts += alerts(found[cut:], paging=paging, step=20_000.0, since=cut * 20_000.0)
    assert parts == alerts(found, step=20_000.0)


@given(st.lists(bits, max_size=60), st.floats(0, 1))
def test_an_alert_figure_lies_between_0_and_1(found: list[float], warmth: float) -> None:
    assert all(0 <= alert <= 1 for alert in alerts(found, warmth=warmth))


@given(bits, bits, st.floats(0, 1))
def test_more_evidence_never_gives_a_lower_alert(one: float, other: float, warmth: float) -> None:
    less, more = sorted((one, other))
    for before in ([1.0] * 5, [1.0] * 5 + [9.0], [9.0] * (4 * PER_DAY)):
        assert alerts([*before, less], warmth=warmth)[-1] <= alerts([*before, more], warmth=warmth)[-1]


def test_the_threshold_is_the_evidence_that_the_policy_names() -> None:
    (alert,) = alerts([DEFAULT_POLICY.alert_bits])
    assert alert == pytest.approx(0.5)


def test_one_long_event_pages_once() -> None:
    found = alerts([1.0] * 50 + [8.0] * 60)
    assert pages(found) == [50]
    assert all(alert < DEFAULT_POLICY.threshold for alert in found[51:])


def test_an_event_that_rises_clearly_pages_again() -> None:
    assert pages(alerts([1.0] * 50 + [6.0] * 20 + [9.0] * 20)) == [50, 70]


def test_an_event_after_the_hold_off_pages_again() -> None:
    quiet = int(DEFAULT_POLICY.hold_off_s / STEP)
    assert pages(alerts([1.0] * 50 + [8.0] + [1.0] * quiet + [8.0] * 5)) == [50, 51 + quiet]


def test_a_series_that_peaks_each_day_needs_more_to_page() -> None:
    paging = m.begin_own(1, np.zeros(0)).paging
    alerts([*[1.0] * 280, *[7.0] * 8] * 4, NO_HOLD, paging=paging)
    later = 4 * 86_400.0
    assert alerts([7.0], NO_HOLD, paging=paging.copy(), since=later)[0] < DEFAULT_POLICY.threshold
    assert alerts([12.0], NO_HOLD, paging=paging.copy(), since=later)[0] >= DEFAULT_POLICY.threshold
    assert alerts([7.0], NO_HOLD)[0] >= DEFAULT_POLICY.threshold


def test_what_half_of_the_days_do_at_this_hour_never_pages() -> None:
    assert alerts([30.0], usual=True)[0] < DEFAULT_POLICY.threshold < alerts([30.0])[0]


def test_usual_peaks_are_forgotten_after_four_weeks() -> None:
    paging = m.begin_own(1, np.zeros(0)).paging
    days = 2 * m.PEAK_DAYS
    alerts([9.0 if day < m.PEAK_DAYS else 2.0 for day in range(days)], NO_HOLD, paging=paging, step=86_400.0)
    assert alerts([9.0], NO_HOLD, paging=paging, since=days * 86_400.0)[0] > DEFAULT_POLICY.threshold


def test_the_warm_up_counts_for_no_usual_peak() -> None:
    paging = m.begin_own(1, np.zeros(0)).paging
    alerts([9.0] * 600, paging=paging, warmth=0.5)
    assert paging[0, m.USUAL_PEAK] == m.NEVER


def test_during_the_warm_up_it_takes_more_evidence_to_page() -> None:
    young, old = alerts([7.0], warmth=0.0)[0], alerts([7.0])[0]
    assert young < DEFAULT_POLICY.threshold < old
    assert alerts([20.0], warmth=0.0)[0] > DEFAULT_POLICY.threshold
