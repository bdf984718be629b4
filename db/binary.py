"""Numbers in the form in which PostgreSQL takes them: on both sides a fraction of the work that text is.

Sources: PostgreSQL's documentation of COPY, "Binary Format"; `array_recv` in its utils/adt/arrayfuncs.c.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache

# What a code of `struct` takes: smallint, integer, bigint (timestamptz too) and double precision.
_BYTES = {"h": 2, "i": 4, "q": 8, "d": 8}
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = struct.pack(">h", -1)
# Of an array: the number of its dimensions, whether there is a NULL, the type of its elements; then of each
# dimension its length and the number of its first element.
_ARRAY, _DIMENSION, _BIGINT = struct.Struct(">iiI"), struct.Struct(">ii"), 20
# Each number of rows up to this one has a format of its own, so there are no more of them.
_ROWS_AT_ONCE = 500
# 2000-01-01, from where PostgreSQL counts its microseconds, in microseconds after 1970.
_EPOCH = 946_684_800_000_000


def rows(codes: str, *columns: Sequence[float]) -> bytes:
    """The rows of these columns, all of one length; `codes` has a letter of `struct` for each column.

    Raises struct.error for a number that its column can't hold.
    """
    count, width = len(columns[0]), 1 + 2 * len(codes)
    # A row is the number of its fields, then of each field its length and its content.
    flat: list[float] = [len(codes), *(part for code in codes for part in (_BYTES[code], 0))] * count
    for number, column in enumerate(columns):
        flat[2 + 2 * number :: width] = column
    parts = [_HEADER]
    for start in range(0, count, _ROWS_AT_ONCE):
        block = flat[start * width : (start + _ROWS_AT_ONCE) * width]
        parts.append(_packer(codes, len(block) // width).pack(*block))
    return b"".join((*parts, _TRAILER))


def bigints(numbers: Sequence[int]) -> bytes:
    """An array of bigint, without NULL, as it is sent in binary.  Raises struct.error for one that is too large."""
    flat = [8, 0] * len(numbers)
    flat[1::2] = numbers
    dimensions = 1 if numbers else 0
    head = _ARRAY.pack(dimensions, 0, _BIGINT) + (_DIMENSION.pack(len(numbers), 1) if numbers else b"")
    blocks = [flat[start : start + 2 * _ROWS_AT_ONCE] for start in range(0, len(flat), 2 * _ROWS_AT_ONCE)]
    return b"".join((head, *(_elements(len(block) // 2).pack(*block) for block in blocks)))


def moments(microseconds: Sequence[int]) -> list[int]:
    """Times in whole microseconds after 1970, as a column of timestamptz holds them."""
    return [at - _EPOCH for at in microseconds]


@lru_cache(maxsize=_ROWS_AT_ONCE)
def _elements(count: int) -> struct.Struct:
    return struct.Struct(">" + "iq" * count)


@lru_cache(maxsize=4 * _ROWS_AT_ONCE)
def _packer(codes: str, count: int) -> struct.Struct:
    row = "h" + "".join(f"i{code}" for code in codes)
    return struct.Struct(">" + row * count)
