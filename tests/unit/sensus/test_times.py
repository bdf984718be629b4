"""Times are read from text and numbers, to the microsecond, or refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensus import times

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_text_comes_back_as_it_went(at: datetime) -> None:
    assert times.parse(times.isoformat(at)) == at


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_seconds_come_back_as_they_went(at: datetime) -> None:
    assert times.parse(times.to_epoch(at)) == at


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.lists(st.integers())))
def test_anything_is_a_time_or_is_refused(value: object) -> None:
    try:
        at = times.parse(value)
    except times.BadTime:
        return
    assert at.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T11:48:10.568123456Z", datetime(2026, 11, 23, 11, 48, 10, 568123, UTC)),
        ("2026-11-23T12:48:10+01:00", datetime(2026, 11, 23, 11, 48, 10, tzinfo=UTC)),
        ("2026-11-23 11:48:10", datetime(2026, 11, 23, 11, 48, 10, tzinfo=UTC)),
        ("1795434490", datetime(2026, 11, 23, 11, 48, 10, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_senders_write_is_understood(text: str, expected: datetime) -> None:
    assert times.parse(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        f"2026-01-31T12:00:00.{'1' * 100}Z",
        "99999-01-01T00:00:00Z",
        "infinity",
        "0001-01-01T00:00:00+14:00",
        -1,
        1e18,
        True,
        None,
    ],
)
def test_what_is_no_time_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(times.BadTime) as caught:
        times.parse(value)
    assert "\n" not in str(caught.value)
