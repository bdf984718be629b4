"""What is remembered of a series: arrays of numbers, how they begin, and the same as bytes.

`now` and `sizes` change with each sample; `paging` and `own` belong to the model that scores; `rings` change only when
an hour of the series is over. They are bytes of their own, so whoever stores a memory writes a fifth of it mostly.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from zlib import crc32

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# ---------------------------------------------------------------- now: one number each
(
    SAMPLES,  # that were taken; while it is 0 nothing else counts
    STALE_LEFT,  # samples that are still stale after a gap
    FIRST_TIME,
    LAST_TIME,
    LAST_VALUE,
    USUAL_STEP,  # seconds between samples
    GAPS,  # much longer steps than that, one after the other
    # The hour that is open: its number since 1970, and what came in it.
    HOUR,
    HOUR_MEAN,
    HOUR_COUNT,
    HOUR_HIGH,
    HOUR_LOW,
    # Fading means: of the values; of the size of what the last hour does not explain; of what the season does not.
    LEVEL_HOUR,
    LEVEL_DAY,
    RESTLESS_4H,
    RESTLESS_DAY,
    RESTLESS_2D,
    RESTLESS_WEEK,
    OFF_HOUR,
    OFF_4H,
    OFF_12H,
    LASTING,
    # Fading maxima of rarities.
    HELD_RARITY,
    HELD_NOVELTY,
    # Equal values one after the other: since when, and how long the longest such run was.
    RUN_SINCE,
    LONGEST_RUN,
    MOVED,  # hours in which the value changed, fading
    # Drawn from the rings when the open hour began; NaN while nothing is known.
    MEDIAN,
    LOW_DECILE,
    HIGH_DECILE,
    SEASON,
    SEASON_LOW,
    SEASON_HIGH,
    USUAL_LOW,
    USUAL_HIGH,
    OLD_HIGH,
    OLD_LOW,
    WEEKLY,
    # The histograms: their whole weight, and the time at which a new sample weighed one.
    WEIGHT,
    WEIGHED_AT,
) = range(40)
NOW = 40
_DRAWN = slice(MEDIAN, WEEKLY + 1)

# ---------------------------------------------------------------- sizes: a histogram each
SIZE_SURPRISE, SIZE_SEASONAL, SIZE_SEASONAL_HOUR, SIZE_DEPARTURE, SIZE_VOLATILITY, SIZE_NOVELTY = range(6)
HISTOGRAMS, BINS = 6, 40

# ---------------------------------------------------------------- rings: of each hour, at its number modulo 168
RING_MEAN, RING_HIGH, RING_LOW, RING_WEEK = range(4)
HOURS = 168

# ---------------------------------------------------------------- paging: what is held off, then the daily peaks
DAY, PEAK, PEAKS, USUAL_PEAK, HELD_ALERT, HELD_UNTIL, FIRST_PEAK = range(7)
PEAK_DAYS = 28
PAGING = FIRST_PEAK + PEAK_DAYS

# Earlier than any time and lower than any figure, and yet a number to reckon with.
NEVER = -1e300

_VERSION = 3
_HEAD = struct.Struct("<3sBI")  # what it is, the version, and whose numbers `own` are
_NUMBER = struct.Struct("<d")
_MEMORY, _SHADOW = b"SSM", b"SSS"
_RINGS_BYTES = 4 * HOURS * 8


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one series as bytes, the same on every machine.

    Without `rings` it serves as long as no hour of the series ends.
    """

    hot: bytes
    rings: bytes | None


@dataclass(frozen=True, slots=True)
class Own:
    """What a model remembers of several series beside their values: shapes (series, PAGING) and (series, its own)."""

    paging: FloatArray
    numbers: FloatArray


@dataclass(frozen=True, slots=True)
class States:
    """The memories of several series as arrays, to be changed in place.

    `has_rings` says of each series whether its rings are there, `refused` why its bytes were not used, if so.
    """

    now: FloatArray  # (series, NOW)
    sizes: npt.NDArray[np.float32]  # (series, HISTOGRAMS, BINS)
    rings: FloatArray  # (series, 4, HOURS)
    has_rings: npt.NDArray[np.bool_]
    own: Own
    refused: Sequence[str | None]


def recall(memories: Sequence[Memory | None], algorithm: str, beginning: FloatArray) -> States:
    """The memories as arrays.

    None is a new series, and bytes that can't be read are as good as none. Numbers of another algorithm are left
    behind: then the model begins with `beginning`, and what is known of the values stays.
    """
    kind, mark = _kind(len(beginning)), _mark(algorithm, len(beginning))
    blank = _blank(kind, beginning)
    refused = [None if memory is None else _problem(memory) for memory in memories]
    bodies = [
        blank if memory is None or problem else _body(memory.hot, mark, kind, beginning)
        for memory, problem in zip(memories, refused, strict=True)
    ]
    nothing = bytes(_RINGS_BYTES)
    known = [
        memory.rings if memory is not None and problem is None else nothing
        for memory, problem in zip(memories, refused, strict=True)
    ]
    table = np.frombuffer(b"".join(bodies), kind).copy()
    bad = ~(np.isfinite(np.delete(table["now"], np.r_[_DRAWN], axis=1)).all(axis=1))
    bad |= ~np.isfinite(table["paging"][:, :FIRST_PEAK]).all(axis=1)
    for number in np.flatnonzero(bad).tolist():
        refused[number], known[number] = "a figure is not finite", nothing
        table[number] = np.frombuffer(blank, kind)[0]
    rings = b"".join(nothing if one is None else one for one in known)
    return States(
        now=np.ascontiguousarray(table["now"]),
        sizes=np.ascontiguousarray(table["sizes"]),
        rings=np.frombuffer(rings, "<f8").reshape(len(memories), 4, HOURS).copy(),
        has_rings=np.array([one is not None for one in known], dtype=np.bool_),
        own=Own(np.ascontiguousarray(table["paging"]), np.ascontiguousarray(table["own"])),
        refused=refused,
    )


def recall_own(shadows: Sequence[bytes | None], algorithm: str, beginning: FloatArray, otherwise: Own) -> Own:
    """What a model in the shadow remembers; where that can't be read, it begins with what the other one knows."""
    mark, width = _mark(algorithm, len(beginning)), otherwise.numbers.shape[1]
    paging, numbers = otherwise.paging.copy(), otherwise.numbers.copy()
    if width != len(beginning):
        numbers = np.tile(beginning, (len(shadows), 1))
    size = _HEAD.size + 8 * (PAGING + len(beginning))
    for number, data in enumerate(shadows):
        if data is not None and len(data) == size and _HEAD.unpack_from(data) == (_SHADOW, _VERSION, mark):
            row = np.frombuffer(data, "<f8", offset=_HEAD.size)
            paging[number], numbers[number] = row[:PAGING], row[PAGING:]
    return Own(paging, numbers)


def put_away(states: States, algorithm: str, closed: npt.NDArray[np.bool_]) -> list[Memory]:
    """The memories as bytes; rings only of series of which an hour `closed`."""
    numbers = states.own.numbers.shape[1]
    table = np.empty(len(states.now), _kind(numbers))
    for name, part in (
        ("now", states.now),
        ("sizes", states.sizes),
        ("paging", states.own.paging),
        ("own", states.own.numbers),
    ):
        table[name] = part
    head = _HEAD.pack(_MEMORY, _VERSION, _mark(algorithm, numbers))
    hot, rings = memoryview(table.tobytes()), memoryview(states.rings.tobytes())
    size = table.itemsize
    return [
        Memory(
            head + hot[number * size : (number + 1) * size],
            bytes(rings[number * _RINGS_BYTES : (number + 1) * _RINGS_BYTES]) if is_closed else None,
        )
        for number, is_closed in enumerate(closed.tolist())
    ]


def put_own_away(own: Own, algorithm: str) -> list[bytes]:
    """What a model in the shadow remembers, as bytes."""
    head = _HEAD.pack(_SHADOW, _VERSION, _mark(algorithm, own.numbers.shape[1]))
    table = np.concatenate([own.paging, own.numbers], axis=1)
    return [head + row.tobytes() for row in table]


def begin_own(series: int, beginning: FloatArray) -> Own:
    """What a model remembers of series that it never scored."""
    paging = np.zeros((series, PAGING))
    paging[:, (USUAL_PEAK, HELD_UNTIL)] = NEVER
    paging[:, FIRST_PEAK:] = nan
    return Own(paging, np.tile(beginning, (series, 1)))


def with_rings(memory: Memory, before: Memory | None) -> Memory:
    """The memory, with the rings of the one before where they stayed as they were."""
    if memory.rings is not None or before is None:
        return memory
    return Memory(memory.hot, before.rings)


def open_hour(hot: bytes) -> float | None:
    """The number of the hour that is open in the series, since 1970; None where the bytes can't be used."""
    if _problem(Memory(hot, None)):
        return None
    hour: float = _NUMBER.unpack_from(hot, _HEAD.size + 8 * HOUR)[0]
    return hour


def _kind(numbers: int) -> np.dtype[np.void]:
    parts = [("now", "<f8", (NOW,)), ("sizes", "<f4", (HISTOGRAMS, BINS)), ("paging", "<f8", (PAGING,))]
    return np.dtype([*parts, ("own", "<f8", (numbers,))])


def _mark(algorithm: str, numbers: int) -> int:
    return crc32(f"{algorithm}/{numbers}".encode())


def _blank(kind: "np.dtype[np.void]", beginning: FloatArray) -> bytes:
    table = np.zeros(1, kind)
    own = begin_own(1, beginning)
    table["paging"], table["own"] = own.paging, own.numbers
    return table.tobytes()


def _problem(memory: Memory) -> str | None:
    """Why these bytes can't be used, if so."""
    data = memory.hot
    if len(data) < _HEAD.size or data[:3] != _MEMORY:
        return "these bytes are not a series memory"
    if data[3] != _VERSION:
        return f"series memory of version {data[3]}, this release reads version {_VERSION}"
    if (len(data) - _HEAD.size - _kind(0).itemsize) % 8 or len(data) < _HEAD.size + _kind(0).itemsize:
        return f"series memory of {len(data)} bytes"
    if memory.rings is not None and len(memory.rings) != _RINGS_BYTES:
        return f"rings of {len(memory.rings)} bytes, {_RINGS_BYTES} are needed"
    return None


def _body(data: bytes, mark: int, kind: "np.dtype[np.void]", beginning: FloatArray) -> bytes:
    if _HEAD.unpack_from(data)[2] == mark and len(data) == _HEAD.size + kind.itemsize:
        return data[_HEAD.size :]
    return data[_HEAD.size : _HEAD.size + _kind(0).itemsize] + beginning.astype("<f8").tobytes()
