"""One event pages once, usual peaks of a series wear off, and what is remembered survives being put away."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import MemoryRejected
from ml.threshold import CALIBRATION_BYTES, DEFAULT_POLICY, PEAK_DAYS, Calibration

STEP = 300.0
NO_HOLD = replace(DEFAULT_POLICY, hold_off_s=0.0)
unit = st.floats(0, 1)


def alerts(scores: list[float], policy=DEFAULT_POLICY, calibration: Calibration | None = None) -> list[float]:
    memory = calibration or Calibration()
    return [memory.advance(n * STEP, score, "scoring", 1.0, policy) for n, score in enumerate(scores)]


@given(st.lists(unit, max_size=80), st.integers(0, 80))
def test_putting_the_calibration_away_changes_nothing(scores: list[float], cut: int) -> None:
    memory = Calibration()
    for number, score in enumerate(scores):
        if number == cut:
            memory = Calibration.from_bytes(memory.to_bytes())
        memory.advance(number * 20_000.0, score, "scoring", 1.0, DEFAULT_POLICY)
    whole = Calibration()
    for number, score in enumerate(scores):
        whole.advance(number * 20_000.0, score, "scoring", 1.0, DEFAULT_POLICY)
    assert memory.to_bytes() == whole.to_bytes()


@given(st.lists(unit, max_size=60))
def test_an_alert_figure_lies_between_0_and_1(scores: list[float]) -> None:
    assert all(0 <= alert <= 1 for alert in alerts(scores))


def test_one_long_event_pages_once() -> None:
    figures = alerts([0.4] * 50 + [0.9] * 60)
    pages = [n for n, alert in enumerate(figures) if alert >= DEFAULT_POLICY.threshold]
    assert pages
    assert max(pages) < 50 + 4
    assert all(alert < DEFAULT_POLICY.threshold for alert in figures[54:])


def test_an_event_that_rises_clearly_pages_again() -> None:
    figures = alerts([0.4] * 50 + [0.75] * 20 + [0.95] * 20)
    assert any(alert >= DEFAULT_POLICY.threshold for alert in figures[70:75])


def test_an_event_after_the_hold_off_pages_again() -> None:
    quiet = int(DEFAULT_POLICY.hold_off_s / STEP) + 5
    figures = alerts([0.4] * 50 + [0.9] * 5 + [0.4] * quiet + [0.9] * 5)
    assert sum(alert >= DEFAULT_POLICY.threshold for alert in figures[-5:]) >= 1


def test_a_series_that_peaks_each_day_needs_more_to_page() -> None:
    restless = Calibration()
    day = [0.4] * 280 + [0.8] * 8
    for number, score in enumerate(day * 4):
        restless.advance(number * STEP, score, "scoring", 1.0, NO_HOLD)
    assert restless.usual_peak == pytest.approx(0.8)
    later = 4 * 86_400.0
    assert restless.advance(later, 0.8, "scoring", 1.0, NO_HOLD) < DEFAULT_POLICY.threshold
    assert alerts([0.8], NO_HOLD)[-1] >= DEFAULT_POLICY.threshold


def test_usual_peaks_are_forgotten_after_four_weeks() -> None:
    memory = Calibration()
    for day in range(2 * PEAK_DAYS):
        memory.advance(day * 86_400.0, 0.9 if day < PEAK_DAYS else 0.4, "scoring", 1.0, NO_HOLD)
    assert memory.usual_peak < 0.5


def test_the_warm_up_counts_for_no_usual_peak() -> None:
    memory = Calibration()
    for number in range(600):
        memory.advance(number * STEP, 0.9, "warming_up", 0.5, DEFAULT_POLICY)
    assert memory.usual_peak == 0.0


def test_a_calibration_of_another_size_is_refused() -> None:
    assert len(Calibration().to_bytes()) == CALIBRATION_BYTES
    with pytest.raises(MemoryRejected):
        Calibration.from_bytes(b"\0" * (CALIBRATION_BYTES - 1))
