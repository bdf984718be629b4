"""Binary rows are what PostgreSQL's documentation says they are."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.numeric import Int8

from db import binary

BIGINT = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.tuples(BIGINT, st.floats(allow_nan=False), st.integers(-(2**15), 2**15 - 1)), max_size=1200))
def test_rows_are_read_back_as_they_were_given(given_rows: list[tuple[int, float, int]]) -> None:
    columns = [list(column) for column in zip(*given_rows, strict=True)] or [[], [], []]
    data = binary.rows("qdh", *columns)
    assert data[:19] == b"PGCOPY\n\xff\r\n\x00" + bytes(8)
    assert data[-2:] == b"\xff\xff"
    row = struct.Struct(">hiqidih")
    found = list(row.iter_unpack(data[19:-2]))
    assert all((fields, one, other, last) == (3, 8, 8, 2) for fields, one, _, other, _, last, _ in found)
    assert [(number, value, small) for _, _, number, _, value, _, small in found] == given_rows


def test_a_number_too_large_for_its_column_is_refused() -> None:
    with pytest.raises(struct.error):
        binary.rows("h", [2**15])


def test_moments_count_from_the_year_2000() -> None:
    assert binary.moments([946_684_800_000_001, 0]) == [1, -946_684_800_000_000]


@given(st.lists(BIGINT, min_size=1, max_size=1200))
def test_an_array_of_bigint_is_what_psycopg_makes_of_it(numbers: list[int]) -> None:
    known = [Int8(number) for number in numbers]
    assert binary.bigints(numbers) == Transformer().get_dumper(known, PyFormat.BINARY).dump(known)
