"""What is a counter, and how fast does it grow?  The same however its samples are cut into batches."""

from math import inf, isfinite, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.counters import growth, is_counter, judged, partner_of, spread
from ml.pace import DAY_S
from ml.rootcause.scraped import Scraped, metrics_of
from tests.unit.ml.made import START, samples, scored, unrolled

# Counters grow, stand still and begin anew; whole microseconds, as they are stored.
counted = st.lists(
    st.tuples(st.integers(1, 10**13).map(lambda micros: micros / 1e6), st.integers(0, 50).map(float)),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("http_requests_total", (), True),
        ("http_request_seconds_count", ("http_request_seconds_sum",), True),
        ("http_request_seconds_sum", ("http_request_seconds_count",), True),
        ("http_request_seconds_bucket", ("http_request_seconds_count",), True),
        ("jvm_thread_count", (), False),
        ("jvm_thread_count", ("jvm_thread_count", "jvm_gc_sum"), False),
        ("token_bucket", ("token_sum",), False),
        ("queue_depth", ("queue_depth_count",), False),
        ("total", (), False),
        ("subtotal", (), False),
        ("total_memory", (), False),
    ],
)
def test_a_counter_is_known_by_its_name_and_by_what_a_histogram_has_beside_it(
    name: str, others: tuple[str, ...], expected: bool
) -> None:
    assert is_counter(name, others) is expected


def test_the_name_alone_decides_where_no_gauge_has_it() -> None:
    assert partner_of("http_requests_total") is None
    assert partner_of("cpu") is None
    assert partner_of("rpc_seconds_bucket") == "rpc_seconds_count"


def test_growth_is_per_second_since_the_sample_before() -> None:
    found = growth([START, START + 60, START + 90], [10.0, 70.0, 70.0])
    assert isnan(found[0])
    assert found[1:] == [1.0, 0.0]
    assert growth([START + 60], [70.0], before=(START, 10.0)) == [1.0]


def test_a_counter_that_begins_anew_tells_no_growth_there() -> None:
    found = growth([START + 60 * n for n in range(5)], [600.0, 660.0, 3.0, 63.0, 123.0])
    assert [isnan(one) for one in found] == [True, False, True, False, False]
    assert found[3:] == [1.0, 1.0]


def test_after_a_week_without_samples_the_growth_is_not_known() -> None:
    assert growth([START + 7 * DAY_S], [70.0], before=(START, 10.0)) == [60.0 / (7 * DAY_S)]
    assert isnan(growth([START + 7 * DAY_S + 1], [70.0], before=(START, 10.0))[0])


def test_a_steady_counter_has_one_growth_to_the_last_digit_whatever_the_fraction_of_a_second() -> None:
    moments = [START + 0.123457 + 60 * n for n in range(2000)]
    assert set(growth(moments, [300.0 * n for n in range(2000)])[1:]) == {5.0}


@given(samples)
def test_growth_is_a_finite_number_or_not_known(pairs: list[tuple[float, float]]) -> None:
    found = growth(*unrolled(pairs))
    assert len(found) == len(pairs)
    assert all(isnan(one) or (isfinite(one) and one >= 0.0) for one in found)


def test_growth_beyond_all_numbers_is_not_known() -> None:
    assert isnan(growth([START], [1e308], before=(START - 1, -1e308))[0])
    assert growth([START], [1e308], before=(START - 1, 0.0))[0] < inf


@given(counted, st.data())
def test_any_way_to_cut_a_series_gives_the_same_growth(pairs: list[tuple[float, float]], data: st.DataObject) -> None:
    moments, values = unrolled(pairs)
    whole = growth(moments, values)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(values)), max_size=5)))
    parts: list[float] = []
    for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        before = (moments[start - 1], values[start - 1]) if start else None
        parts += growth(moments[start:end], values[start:end], before)
    assert np.array_equal(parts, whole, equal_nan=True)


@given(counted)
def test_detection_and_the_ranking_of_suspects_take_a_counter_for_the_same(pairs: list[tuple[float, float]]) -> None:
    pairs = [(min(max(gap, 0.01), 7 * DAY_S), value) for gap, value in pairs]
    moments, values = unrolled(pairs)
    known_at, known = judged(moments, growth(moments, values))
    found = metrics_of([Scraped("web", "jobs_total", {}, np.array(moments), np.array(values))])
    if not known:
        assert found == []
        return
    (one,) = found
    assert one.times.tolist() == known_at
    assert one.values == pytest.approx(np.array(known), rel=1e-4)


def test_samples_of_no_known_growth_have_figures_of_their_own_and_leave_the_others_theirs() -> None:
    moments = [START + 300.0 * n for n in range(400)]
    values = [5.0 + n % 3 for n in range(399)] + [900.0]
    of_judged = scored(moments, values)
    grown = [nan, *values[:200], nan, *values[200:]]
    found = spread(of_judged, grown)
    assert [place for place, one in enumerate(grown) if isnan(one)] == [0, 201]
    for place in (0, 201):
        assert (found.scores.pop(place - (place > 0)), found.alerts.pop(place - (place > 0))) == (0.0, 0.0)
    assert (found.states[0], found.states[201]) == ("warming_up", "warming_up")
    assert (found.scores, found.alerts) == (of_judged.scores, of_judged.alerts)
    assert [grown[one.sample] for one in found.anomalies] == [values[one.sample] for one in of_judged.anomalies]
    assert found.anomalies
    assert spread(of_judged, values) is of_judged
