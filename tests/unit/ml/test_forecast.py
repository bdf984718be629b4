"""Forecasts: finite, the point within its interval, without unit, and better than what was a day before."""

from __future__ import annotations

from math import inf, nan, sin, tau

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.builtin import builtin_model
from ml.forecast import HORIZON, HOUR_S, Forecast, expect, forecasts
from ml.forecast_evaluation import ForecastEvaluation, evaluate_forecasts, hourly
from ml.memory import Memory, with_rings
from ml.scoring import Unscored, score_batch
from tests.unit.ml.made import daily

means = st.one_of(st.just(nan), st.floats(-1e300, 1e300), st.sampled_from([0.0, 1.0, -1e300, 1e300, 5e-324]))
rings = st.lists(means, min_size=1, max_size=168)


def expected(hours: list[float], level: float = 0.0, restless: float = 0.0, skipped: int = 1) -> np.ndarray | None:
    out = np.empty((3, HORIZON))
    return out if expect(np.array(hours), level, restless, skipped, out) else None


def forecast_of(times: list[float], values: list[float]) -> Forecast | None:
    (scored,) = score_batch(builtin_model("seasonal_baseline"), [Unscored(times, values)])
    return forecasts([scored.memory])[0]


@settings(deadline=None)
@given(rings, st.floats(-1e300, 1e300), st.floats(0.0, 1e300), st.integers(0, 1))
def test_a_forecast_is_finite_and_within_its_interval(
    hours: list[float], level: float, restless: float, skipped: int
) -> None:
    out = expected(hours, level, restless, skipped)
    if out is None:
        assert all(hour != hour for hour in hours)
        return
    assert np.isfinite(out).all()
    assert (out[1] <= out[0]).all()
    assert (out[0] <= out[2]).all()


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.just(nan), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))), min_size=2, max_size=168),
    st.integers(-20, 20),
)
def test_a_forecast_is_the_same_in_any_unit(hours: list[float], exponent: int) -> None:
    unit = 2.0**exponent
    plain, scaled = expected(hours, 3.0, 0.5), expected([hour * unit for hour in hours], 3.0 * unit, 0.5 * unit)
    assert (plain is None) == (scaled is None)
    if plain is not None and scaled is not None:
        assert (plain * unit == scaled).all()


def test_a_forecast_does_not_change_the_hours() -> None:
    hours = np.random.default_rng(0).standard_normal(168)
    before = hours.copy()
    expect(hours, 0.0, 1.0, 1, np.empty((3, HORIZON)))
    assert (hours == before).all()


def test_a_daily_wave_goes_on() -> None:
    times, values = daily(8, noise=0.5)
    made = forecast_of(times, values)
    assert made is not None
    assert made.known_at == times[-1]
    assert made.starts_at == (times[-1] // HOUR_S + 1) * HOUR_S
    for number, value in enumerate(made.expected):
        middle_s = made.starts_at + (number + 0.5) * HOUR_S
        assert value == pytest.approx(50 + 10 * sin(tau * (middle_s % 86_400) / 86_400), abs=1.5)
    within = np.array(made.high) - np.array(made.low)
    assert (within < 5.0).all()


def test_a_disk_that_fills_is_expected_to_be_full() -> None:
    times = [1_700_006_400.0 + 300.0 * number for number in range(4 * 288)]
    values = [20.0 + number * 300.0 / HOUR_S * 0.5 for number in range(len(times))]  # half a per cent an hour
    made = forecast_of(times, values)
    assert made is not None
    ahead_h = (made.starts_at - times[-1]) / HOUR_S + np.arange(HORIZON) + 0.5
    assert made.expected == pytest.approx((values[-1] + 0.5 * ahead_h).tolist(), abs=0.5)


def test_what_was_never_seen_has_no_forecast() -> None:
    assert expected([nan] * 168) is None
    assert forecast_of([1_700_006_400.0], [1.0]) is None
    times, values = daily(0.1)
    (scored,) = score_batch(builtin_model(), [Unscored(times, values)])
    assert forecasts([Memory(scored.memory.hot, None)]) == [None]
    assert forecasts([]) == []


def test_a_young_series_has_an_interval_that_grows() -> None:
    times, values = daily(0.2, noise=2.0)
    made = forecast_of(times, values)
    assert made is not None
    widths = np.array(made.high) - np.array(made.low)
    assert (np.diff(widths) >= -1e-9).all()
    assert widths[0] > 0.0


def test_a_forecast_is_the_same_however_the_samples_were_cut() -> None:
    times, values = daily(3)
    whole = forecast_of(times, values)
    memory: Memory | None = None
    for start in range(0, len(times), 37):
        part = Unscored(times[start : start + 37], values[start : start + 37], memory)
        (scored,) = score_batch(builtin_model("seasonal_baseline"), [part])
        memory = with_rings(scored.memory, memory)
    assert memory is not None
    assert forecasts([memory]) == [whole]


@pytest.mark.parametrize("kind", ["wave", "walk", "fills", "jumps"])
def test_forecasts_lose_less_than_the_naive_one(kind: str) -> None:
    rng = np.random.default_rng(5)
    hours = np.arange(24 * 28)
    values = {
        "wave": 10 * np.sin(tau * hours / 24) + rng.standard_normal(len(hours)),
        "walk": np.cumsum(rng.standard_normal(len(hours))),
        "fills": 0.3 * hours + rng.standard_normal(len(hours)),
        "jumps": np.where(hours % 50 < 25, 0.0, 10.0) + rng.standard_normal(len(hours)),
    }[kind]
    found = evaluate_forecasts((hours * HOUR_S).tolist(), values.tolist())
    assert found.hours > 500
    assert found.ratio < 0.95
    assert 0.45 < found.covered < 0.95


def test_nothing_to_forecast_is_no_loss() -> None:
    assert evaluate_forecasts([], []) == ForecastEvaluation(0.0, 0.0, 0.0, 0)
    assert evaluate_forecasts([0.0], [1.0]).ratio == 1.0
    assert ForecastEvaluation(1.0, 0.0, 0.0, 1).ratio == inf


def test_hourly_means_have_gaps_where_nothing_came() -> None:
    found = hourly([0.0, 1800.0, 3 * HOUR_S], [1.0, 3.0, 7.0])
    assert found[[0, 3]].tolist() == [2.0, 7.0]
    assert np.isnan(found[1:3]).all()
