"""An anomaly's labels name its series and nothing else, whatever the series is called."""

from __future__ import annotations

import re
from itertools import combinations

import hypothesis.strategies as st
from hypothesis import given

from tasks.anomaly_words import annotations_of, labels_of

NAMES = st.sampled_from(
    ["a.b", "a_b", "a-b", "job", "alertname", "exported_alertname", "severity", "metric_name", "series_labels", "9a"]
)
LABELS = st.dictionaries(NAMES, st.sampled_from(["x", "y"]), max_size=4)


def test_the_labels_of_a_series_are_the_labels_of_its_alert() -> None:
    assert labels_of("cpu", {"service": "checkout", "instance": "web03:9100"}) == {
        "alertname": "SensusAnomaly",
        "severity": "warning",
        "metric_name": "cpu",
        "service": "checkout",
        "instance": "web03:9100",
    }


def test_labels_that_have_our_names_are_kept_beside_ours() -> None:
    found = labels_of("ALERTS", {"alertname": "DiskFull", "severity": "page", "metric_name": "m"})
    assert found["alertname"] == "SensusAnomaly"
    assert (found["exported_alertname"], found["exported_severity"], found["exported_metric_name"]) == (
        "DiskFull",
        "page",
        "m",
    )


def test_names_that_an_alertmanager_refuses_are_written_so_that_it_takes_them() -> None:
    found = labels_of("m", {"k8s.pod-name": "a", "9lives": "b", "": "c"})
    assert (found["k8s_pod_name"], found["_9lives"]) == ("a", "b")
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in found)


def test_a_label_without_a_value_is_none() -> None:
    assert labels_of("m", {"a": "", "b.c": ""}) == labels_of("m", {})


@given(st.lists(LABELS, min_size=2, max_size=6, unique_by=lambda labels: tuple(sorted(labels.items()))))
def test_two_series_never_have_the_same_labels(series: list[dict[str, str]]) -> None:
    for one, other in combinations(series, 2):
        assert labels_of("m", one) != labels_of("m", other)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=300), max_size=20))
def test_every_name_is_one_that_any_alertmanager_takes_and_every_value_can_come_back(labels: dict[str, str]) -> None:
    for name, value in labels_of("m", labels).items():
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
        assert len(value) <= 500


def test_the_words_say_what_was_seen_what_was_expected_and_why() -> None:
    told = annotations_of(
        "latency_ms",
        0.812,
        {
            "value": 431.25,
            "expected_low": 80.0,
            "expected_high": None,
            "features": [{"name": "surprise", "contribution": 0.2}, {"name": "range", "contribution": 0.0}],
            "model_version": "builtin-1",
        },
    )
    assert told["summary"] == "latency_ms is strange: 431.25"
    assert told["description"] == (
        "latency_ms is 431.25, expected was 80 to unknown. Most telling: surprise. Score 0.81, model builtin-1."
    )


def test_the_words_of_a_counter_are_about_its_growth() -> None:
    data = {"value": 98.5, "per_second": True, "expected_low": 6.0, "expected_high": 14.0, "model_version": "builtin-2"}
    told = annotations_of("requests_total", 0.9, data)
    assert told["summary"] == "growth of requests_total is strange: 98.5 per second"
    assert told["description"].startswith("growth of requests_total is 98.5 per second, expected was 6 to 14.")
