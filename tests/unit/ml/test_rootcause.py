"""The ranking finds what broke, whatever the units, the lateness and the holes; and says how sure it is."""

from __future__ import annotations

import dataclasses
import math
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench import made_incidents
from ml.rootcause.incident import Alert, Incident
from ml.rootcause.kinds import direction_of, kind_of
from ml.rootcause.ranking import rank
from ml.rootcause.sampled import Samples, incident_from_samples
from ml.rootcause.scraped import Scraped, metrics_of


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def made(seed: int = 1, metrics: int = 120, **options: Any) -> tuple[str, Incident]:
    return made_incidents.incident(seed, metrics, **options)


@pytest.mark.parametrize("fault", sorted(made_incidents.FAULTS))
def test_the_broken_service_comes_first(fault: str) -> None:
    found = []
    for seed in range(12):
        broken, incident = made(seed, fault=fault)
        found.append([suspect.service for suspect in rank(incident)].index(broken) + 1)
    assert found.count(1) >= 10, found
    assert max(found) <= 5, found


@given(st.integers(0, 10_000), st.lists(st.sampled_from([1e6, 1e-6, 1e3, 1.0]), min_size=120, max_size=120))
@settings(max_examples=20, deadline=None)
def test_units_change_nothing(seed: int, factors: list[float]) -> None:
    _, incident = made(seed)
    other = dataclasses.replace(incident, values=incident.values * np.asarray(factors))
    assert rank(other) == rank(incident)


@pytest.mark.parametrize("late_s", [30, 60, 120])
@pytest.mark.parametrize("during", [20, 40, 60])
def test_a_start_that_is_told_late_costs_nothing_though_the_fault_lasts(late_s: int, during: int) -> None:
    right = 0
    for seed in range(6):
        broken, incident = made(seed, during=during)
        late = dataclasses.replace(incident, start=incident.start + late_s)
        right += rank(late)[0].service == broken
    assert right >= 5


def test_who_is_first_is_surer_where_the_fault_is_plain() -> None:
    plain = [rank(made(seed, fault="memory")[1])[0].confidence for seed in range(10)]
    nothing = []
    for seed in range(10):
        _, incident = made(seed)
        calm = dataclasses.replace(incident, values=incident.values[:300], times=incident.times[:300])
        calm = dataclasses.replace(calm, start=float(calm.times[280]))
        nothing.append(rank(calm)[0].confidence)
    assert statistics.mean(plain) > 0.7
    assert statistics.mean(nothing) < statistics.mean(plain) - 0.2
    assert all(0 <= each <= 1 for each in plain + nothing)


def few(shifts: Mapping[str, float], seed: int, *, metrics: Sequence[str] = ("request_latency_seconds",)) -> Incident:
    """Services that call nobody, four hours of them: noise, on which each metric of a service rises by its shift."""
    rng = np.random.default_rng(seed)
    times = np.arange(0.0, 4 * 3600.0, 60.0)
    series = tuple((service, metric) for service in shifts for metric in metrics)
    values = 1 + rng.normal(0, 0.05, (len(times), len(series)))
    values[times >= 3 * 3600] += [shifts[service] for service, _ in series]
    return Incident(times, values, series, 3 * 3600.0)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.1, 0.3, 0.95, 1.0]), min_size=1),
    st.integers(0, 1000),
)
@example({"checkout": 0.40, "orders": 0.36}, 0)
@settings(max_examples=40, deadline=None)
def test_a_later_suspect_is_never_surer_than_an_earlier_one(shifts: dict[str, float], seed: int) -> None:
    suspects = rank(few(shifts, seed))
    for told in ([one.confidence for one in suspects], [one.score for one in suspects]):
        assert told == sorted(told, reverse=True)
    assert sum(one.confidence for one in suspects) <= 1 + 1e-3


def test_what_the_first_of_many_leaves_the_others_share() -> None:
    suspects = rank(made(fault="memory")[1])
    assert suspects[0].confidence > 0.7
    assert sum(suspect.confidence for suspect in suspects) == pytest.approx(1, abs=0.01)


def test_where_two_cannot_be_told_apart_there_may_be_neither() -> None:
    first, second = rank(few({"checkout": 0.40, "orders": 0.36}, 0))
    assert first.confidence < 0.5
    assert first.confidence + second.confidence < 0.9


KINDS = ("cpu_usage", "memory_working_set_bytes", "disk_io_time", "request_latency_seconds", "error_ratio")
THIRTY = tuple(f"{kind}_{number}" for number in range(6) for kind in KINDS)
WEAK = 0.4  # people are told of weak evidence below it


@pytest.mark.parametrize("services", [("checkout",), ("checkout", "orders")])
@pytest.mark.parametrize("minutes", [10, 60])
def test_noise_is_weak_evidence_however_few_services_and_many_metrics(services: tuple[str, ...], minutes: int) -> None:
    sure = []
    for seed in range(20):
        noise = few(dict.fromkeys(services, 0.0), seed, metrics=THIRTY)
        during = noise.times < noise.start + 60 * minutes
        alert = Alert("checkout", "request_latency_seconds_0", noise.start)
        noise = dataclasses.replace(noise, times=noise.times[during], values=noise.values[during], alert=alert)
        sure.append(rank(noise)[0].confidence)
    assert statistics.median(sure) < 0.2
    assert sum(one >= WEAK for one in sure) <= 1, sorted(sure)


@pytest.mark.parametrize("metric", ["cpu_usage_0", "request_latency_seconds_0"])
def test_a_clear_fault_of_the_only_service_is_more_than_weak_evidence(metric: str) -> None:
    for seed in range(20):
        incident = few({"checkout": 0.0}, seed, metrics=THIRTY)
        values = incident.values.copy()
        values[incident.times >= incident.start, THIRTY.index(metric)] += 0.6
        (suspect,) = rank(dataclasses.replace(incident, values=values))
        assert suspect.metric == metric
        assert suspect.confidence > WEAK


@pytest.mark.parametrize("rows", [2, 3, 4, 6, 12, 100])
def test_the_only_service_is_ranked_however_little_came_before(rows: int) -> None:
    incident = few({"checkout": 0.4}, 1, metrics=THIRTY)
    start = int(np.searchsorted(incident.times, incident.start))
    kept = slice(start - rows // 2, start + rows - rows // 2)
    short = dataclasses.replace(incident, times=incident.times[kept], values=incident.values[kept])
    (suspect,) = rank(short)
    assert 0 <= suspect.confidence <= 1


def test_user_facing_indicators_are_no_suspects() -> None:
    _, incident = made()
    series = tuple(
        ("__sli__", metric) if service == "service-000" else (service, metric) for service, metric in incident.series
    )
    assert "__sli__" not in {suspect.service for suspect in rank(dataclasses.replace(incident, series=series))}


@pytest.mark.parametrize(
    "change",
    [
        {"alert": None},
        {"calls": ()},
        {"alert": Alert("nobody", "nothing")},
        {"start": made_incidents.START + 1e9},
        {"start": made_incidents.START - 1e9},
        {"calls": (("service-001", "service-002"), ("service-002", "service-001"))},
    ],
)
def test_what_is_not_known_is_done_without(change: dict[str, Any]) -> None:
    suspects = rank(dataclasses.replace(made()[1], **change))
    assert suspects
    assert all(math.isfinite(suspect.score) and 0 <= suspect.confidence <= 1 for suspect in suspects)


@pytest.mark.parametrize("spoil", ["nan", "zero", "constant", "negative", "infinite", "huge", "tiny", "holes"])
def test_odd_values_break_nothing(spoil: str) -> None:
    _, incident = made()
    values = incident.values.copy()
    match spoil:
        case "nan":
            values[:] = np.nan
        case "zero":
            values[:] = 0
        case "constant":
            values[:] = 7
        case "negative":
            values = -values
        case "infinite":
            values[::3] = np.inf
        case "huge":
            values *= 1e290
        case "tiny":
            values *= 1e-290
        case "holes":
            values[np.random.default_rng(3).random(values.shape) < 0.5] = np.nan
    suspects = rank(dataclasses.replace(incident, values=values))
    assert all(math.isfinite(suspect.score) for suspect in suspects)


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_next_to_nothing_measured_is_no_error(rows: int) -> None:
    _, incident = made()
    few = dataclasses.replace(
        incident, times=incident.times[-rows or 10**6 :], values=incident.values[-rows or 10**6 :]
    )
    assert isinstance(rank(few), tuple)


def test_a_service_that_falls_silent_is_the_first_suspect() -> None:
    _, incident = made()
    values = incident.values.copy()
    mute = [place for place, (service, _) in enumerate(incident.series) if service == "service-009"]
    values[np.ix_(incident.times >= incident.start, mute)] = np.nan
    first = rank(dataclasses.replace(incident, values=values))[0]
    assert (first.service, "silence" in first.kinds) == ("service-009", True)


def test_samples_of_any_spacing_become_the_same_incident() -> None:
    broken, incident = made()
    rng = np.random.default_rng(5)
    samples = []
    for place, (service, metric) in enumerate(incident.series):
        order = rng.permutation(len(incident.times))
        times = incident.times[order] + rng.uniform(0, 5, len(order))
        samples.append(Samples(service, metric, times, incident.values[order, place]))
    again = incident_from_samples(samples, incident.start, alert=incident.alert, calls=incident.calls)
    assert rank(again)[0].service == broken
    with pytest.raises(ValueError, match="no series"):
        incident_from_samples([], 0.0)


@pytest.mark.parametrize(
    ("metric", "kind", "direction"),
    [
        ("http_requests_total:5xx_errors", "error", 1),
        ("http_request_duration_seconds", "latency", 1),
        ("container_memory_working_set_bytes", "memory", 1),
        ("node_memory_MemAvailable_bytes", "memory", -1),
        ("process_cpu_seconds_total", "cpu", 1),
        ("node_filesystem_avail_bytes", "disk", -1),
        ("request_success_rate", "success", -1),
        ("up", "success", -1),
        ("rabbitmq_queue_messages", "workload", 0),
        ("flux_capacitance", "unknown", 0),
    ],
)
def test_the_kind_of_a_metric_is_in_its_name(metric: str, kind: str, direction: int) -> None:
    assert (kind_of(metric), direction_of(metric)) == (kind, direction)


TIMES = np.arange(0.0, 600.0, 15.0)


def counter(name: str, rate: float, service: str = "web", **labels: str) -> Scraped:
    return Scraped(service, name, labels, TIMES, rate * TIMES)


def by_name(series: list[Scraped]) -> dict[str, Samples]:
    return {one.metric: one for one in metrics_of(series)}


def test_counters_become_rates_and_those_of_several_instances_one() -> None:
    found = by_name([counter("http_requests_total", 2, instance="a"), counter("http_requests_total", 3, instance="b")])
    assert found["http_requests_total"].values == pytest.approx(5)


def test_failures_are_a_metric_of_their_own() -> None:
    found = by_name([counter("http_requests_total", 9, code="200"), counter("http_requests_total", 1, code="503")])
    assert found["http_requests_total"].values == pytest.approx(9)
    assert found["http_requests_total:5xx_errors"].values == pytest.approx(1)
    assert kind_of("http_requests_total:5xx_errors") == "error"


def test_a_sum_and_a_count_become_a_mean() -> None:
    found = by_name([counter("request_seconds_sum", 0.5), counter("request_seconds_count", 10)])
    assert found["request_seconds"].values == pytest.approx(0.05)
    assert found["request_seconds_count"].values == pytest.approx(10)


def test_a_counter_that_starts_anew_is_no_fall() -> None:
    values = 2 * TIMES
    values[20:] -= values[20]
    (found,) = metrics_of([Scraped("web", "jobs_total", {}, TIMES, values)])
    assert found.values == pytest.approx(2)
    assert len(found.values) == len(TIMES) - 2


def test_what_tells_nothing_is_left_out() -> None:
    series = [
        counter("request_seconds_bucket", 1, le="0.5"),
        counter("build_info", 0),
        counter("go_goroutines", 1),
        Scraped("web", "once", {}, TIMES[:1], TIMES[:1]),
    ]
    assert metrics_of(series) == []


def test_many_gauges_of_a_name_become_their_mean_few_stay_apart() -> None:
    def gauges(count: int) -> list[Scraped]:
        return [Scraped("web", "heap", {"pod": str(n)}, TIMES, np.full(len(TIMES), float(n))) for n in range(count)]

    assert len(metrics_of(gauges(3))) == 3
    (mean,) = metrics_of(gauges(21))
    assert mean.values == pytest.approx(10)
