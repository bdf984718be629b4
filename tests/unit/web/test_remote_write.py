"""Reading remote_write: whatever was put in comes out, and no bytes at all surprise it."""

from __future__ import annotations

import math
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge

from sensus import times
from sensus.errors import Unreadable
from tests.factories import STALE_MARKER, in_snappy, write_request
from web import compressed
from web.schemas import remote_write

NOW = times.parse("2026-11-24T12:00:00Z")
MOST = 1_000_000
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(str.strip)
labels = st.dictionaries(names.filter(lambda name: name != "__name__"), st.text(max_size=20), max_size=5)
ages_s = st.integers(0, 80 * 86_400_000).map(lambda ms: ms / 1000)
points = st.lists(st.tuples(ages_s, st.floats()), max_size=4)


@given(st.lists(st.tuples(names, labels, points), max_size=5))
def test_what_is_written_is_read(series: list[tuple[str, dict[str, str], list[tuple[float, float]]]]) -> None:
    now_s = times.to_epoch(NOW)
    message = write_request(
        [({"__name__": name, **pairs}, [(now_s - age, value) for age, value in of]) for name, pairs, of in series]
    )
    taken = remote_write.read(message, NOW, retention_days=90)
    expected: Counter[object] = Counter()
    refused = 0
    for name, pairs, of in series:
        key = (name, tuple(sorted((label, value) for label, value in pairs.items() if value)))
        for age, value in of:
            # A NaN may happen to be the marker.
            if any("\0" in value for value in pairs.values()) or not math.isfinite(value):
                refused += 1
            else:
                expected[key, round((now_s - age) * 1000) * 1000, value] += 1
    new = taken.samples
    found = Counter(
        ((new.keys[place].metric_name, new.keys[place].labels), at, value)
        for place, at, value in zip(new.places, new.times, new.values, strict=True)
    )
    assert found == expected
    assert taken.refused.total() + taken.markers == refused
    assert taken.sent == sum(len(of) for *_, of in series)


@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(noise: bytes) -> None:
    for body in (noise, in_snappy(noise), in_snappy(write_request([({"__name__": "up"}, [(0.0, 1.0)])]) + noise)):
        try:
            message = compressed.snappy_block(body, most=MOST)
            taken = remote_write.read(message, NOW, retention_days=90)
        except (Unreadable, RequestEntityTooLarge):
            continue
        assert taken.sent == len(taken.samples) + taken.markers + taken.refused.total()


@given(st.integers(0, 2**64 - 1))
def test_of_all_nans_one_is_the_marker(bits: int) -> None:
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    taken = remote_write.read(
        write_request([({"__name__": "up"}, [(times.to_epoch(NOW), value)])]), NOW, retention_days=90
    )
    assert taken.markers == (bits == 0x7FF0000000000002)
    assert len(taken.samples) == math.isfinite(value)


def test_the_marker_survives_the_way() -> None:
    message = write_request([({"__name__": "up"}, [(times.to_epoch(NOW), STALE_MARKER)])])
    assert remote_write.read(message, NOW, retention_days=90).markers == 1


def test_a_block_that_says_it_is_too_large_is_not_unpacked() -> None:
    with pytest.raises(RequestEntityTooLarge):
        compressed.snappy_block(in_snappy(bytes(1001)), most=1000)
    assert compressed.snappy_block(in_snappy(bytes(1000)), most=1000) == bytes(1000)


def test_series_are_known_by_their_bytes_and_not_mixed_up() -> None:
    # Two labels whose bytes, put together, are those of one label with other content.
    at = times.to_epoch(NOW)
    first = remote_write.read(write_request([({"__name__": "a", "b": "c"}, [(at, 1.0)])]), NOW, retention_days=90)
    again = remote_write.read(write_request([({"__name__": "a", "b": "c"}, [(at, 1.0)])]), NOW, retention_days=90)
    other = remote_write.read(write_request([({"__name__": "a", "bc": ""}, [(at, 1.0)])]), NOW, retention_days=90)
    assert first.samples.keys[0] is again.samples.keys[0]
    assert other.samples.keys[0].labels == ()
