"""An anomaly as evidence: what was seen, in a line."""

from __future__ import annotations

from typing import Any

import pytest

from db.queries.evidence import AnomalyNearby
from tasks.evidence import anomaly_summary
from tests.factories import START


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "m was unusual"),
        ({"value": 431.25}, "m was 431.2, which is unusual"),
        ({"value": 9.0, "expected_low": 1.0, "expected_high": 2.5}, "m was 9, expected were 1 to 2.5"),
        ({"value": 1.0, "expected_low": -5e-301, "expected_high": 5e-301}, "m was 1, expected was 0"),
        ({"value": 4.0, "expected_low": 3.0, "expected_high": 3.0}, "m was 4, expected was 3"),
        (
            {"value": 98.5, "per_second": True, "expected_low": 6.0, "expected_high": 14.0},
            "m grew by 98.5 per second, expected were 6 to 14",
        ),
        ({"value": 98.5, "per_second": True}, "m grew by 98.5 per second, which is unusual"),
    ],
)
def test_the_line_says_what_was_judged_and_what_was_expected(data: dict[str, Any], told: str) -> None:
    assert anomaly_summary(AnomalyNearby(1, "m", {}, START, 0.9, 0.8, data)) == told
