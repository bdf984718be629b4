"""What a caller may ask of the reading endpoints, and how answers are written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from db.models.analysis import AnalysisResult
from db.queries.analysis_reads import Found
from db.queries.labels import Matcher
from db.queries.series_reads import Selector
from sensus import times
from web.schemas.alerts import AcknowledgementBody, AlertsQuery
from web.schemas.analyses import FeedbackBody
from web.schemas.anomalies import AnomaliesQuery, AnomalyAnswer
from web.schemas.fields import NOTE_LENGTH, LabelIs
from web.schemas.metrics import SamplesQuery
from web.schemas.scores import ScoresQuery
from web.schemas.selection import Selection


def refusal(schema: Any, data: dict[str, Any]) -> dict[str, Any]:
    with pytest.raises(ValidationError) as caught:
        schema.load(data)
    assert isinstance(caught.value.messages, dict)
    return caught.value.messages


@pytest.mark.parametrize("helpful", ["true", "yes", 1, 0, "", None, []])
def test_helpful_is_a_json_boolean_and_nothing_like_it(helpful: object) -> None:
    assert "helpful" in refusal(FeedbackBody(), {"helpful": helpful})


@pytest.mark.parametrize("note", ["a\x00b", "\ud800", "", "x" * (NOTE_LENGTH + 1), 5])
def test_a_note_that_cannot_be_stored_is_refused(note: object) -> None:
    assert "note" in refusal(AcknowledgementBody(), {"note": note})
    assert "note" in refusal(FeedbackBody(), {"helpful": True, "note": note})


@pytest.mark.parametrize("schema", [AcknowledgementBody, FeedbackBody, AlertsQuery, SamplesQuery, ScoresQuery])
def test_an_unknown_field_is_refused_by_name(schema: type) -> None:
    assert "surprise" in refusal(schema(), {"helpful": True, "metric_name": "m", "surprise": "x"})


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_a_label_filter_is_read_as_name_and_value_or_refused(name: str, value: str) -> None:
    field = LabelIs()
    try:
        matcher = field.deserialize(f"{name}={value}")
    except ValidationError:
        assert name.startswith("=") or name.partition("=")[0].endswith("!") or "\x00" in name + value
    else:
        assert f"{matcher.name}={matcher.value}" == f"{name}={value}"
        assert "=" not in matcher.name


@pytest.mark.parametrize("text", ["", "a", "=b", "env!=prod"])
def test_a_label_filter_without_name_and_value_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        LabelIs().deserialize(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("60", 60), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400)]
)
def test_a_step_is_seconds_or_a_duration(text: str, seconds: int) -> None:
    assert SamplesQuery().load({"metric_name": "m", "step": text})["step"] == seconds


@pytest.mark.parametrize("text", ["0", "-5", "5.5", "1y", "5 m", "m", "999999999d", "٣"])
def test_any_other_step_is_refused(text: str) -> None:
    assert "step" in refusal(SamplesQuery(), {"metric_name": "m", "step": text})


def test_a_range_has_two_names_for_each_end() -> None:
    asked = {"metric_name": "m", "label": ["a=b", "c="]}
    expected = Selection(
        Selector("m", (Matcher("a", "=", "b"), Matcher("c", "=", ""))),
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    for start, end in (("start", "end"), ("since", "until")):
        query = {**asked, start: "2026-01-01T00:00:00Z", end: times.to_epoch(datetime(2026, 1, 2, tzinfo=UTC))}
        assert ScoresQuery().load(query)["selection"] == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "metric_name"),
        ({"label": ["a=b"]}, "metric_name"),
        ({"metric_name": "m", "match": "m"}, "match"),
        ({"match": "m", "label": ["a=b"]}, "match"),
        ({"match": "m{"}, "match"),
        ({"match": 'm{a="\x00"}'}, "match"),
        ({"metric_name": "m", "start": "1", "since": "1"}, "since"),
        ({"metric_name": "m", "start": "2", "end": "1"}, "start"),
        ({"metric_name": "m", "since": "2", "until": "1"}, "since"),
        ({"metric_name": "m", "start": "yesterday"}, "start"),
        ({"metric_name": ""}, "metric_name"),
        ({"metric_name": "\x00"}, "metric_name"),
    ],
)
def test_a_selection_that_says_nothing_clear_is_refused_at_its_field(query: dict[str, Any], field: str) -> None:
    for schema in (SamplesQuery(), ScoresQuery()):
        assert list(refusal(schema, query)) == [field]


def test_anomalies_need_no_metric() -> None:
    assert AnomaliesQuery().load({"min_score": "0.5"})["selection"].selector == Selector()
    assert "min_score" in refusal(AnomaliesQuery(), {"min_score": "nan"})
    assert "min_score" in refusal(AnomaliesQuery(), {"min_score": "1.5"})


def test_alerts_since_after_until_are_refused() -> None:
    assert "since" in refusal(AlertsQuery(), {"since": "2", "until": "1"})


def anomaly(**facts: Any) -> Found:
    row = AnalysisResult(id=1, analysis_type="anomaly_detection", score=facts.pop("score", 0.5), analysis_data=facts)
    row.sample_at = facts.pop("timestamp", None)
    return Found(row, "m", {})


def test_what_json_cannot_say_is_answered_as_null() -> None:
    answer = AnomalyAnswer().dump(anomaly(score=float("nan"), value=float("inf"), alert=0.1 + 0.2))
    assert (answer["score"], answer["value"], answer["alert"]) == (None, None, 0.30000000000000004)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_answered_with_a_z(at: datetime) -> None:
    told = AnomalyAnswer().dump(anomaly(timestamp=at))["timestamp"]
    assert told.endswith("Z")
    assert times.parse(told) == at
