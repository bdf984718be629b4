"""Which vectors come nearest to one, of however many pages of them?"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def vector(numbers: Sequence[float]) -> Vector | None:
    """The direction of these numbers; None when they have none."""
    raw = np.asarray(numbers, dtype=np.float32)
    length = float(np.linalg.norm(raw)) if raw.ndim == 1 and raw.size else 0.0
    return raw / np.float32(length) if length > 0 and np.isfinite(length) else None


def as_bytes(direction: Vector) -> bytes:
    """As it is stored: 32-bit floats, little-endian."""
    return direction.astype("<f4").tobytes()


def nearest(wanted: Vector, pages: Iterable[tuple[Sequence[int], Sequence[bytes]]], *, limit: int) -> dict[int, float]:
    """The ids of the nearest stored vectors with their cosine; those of another length are passed over."""
    best: list[tuple[float, int]] = []
    size = 4 * len(wanted)
    for ids, stored in pages:
        kept = [(id_, raw) for id_, raw in zip(ids, stored, strict=True) if len(raw) == size]
        if not kept:
            continue
        page = np.frombuffer(b"".join(raw for _, raw in kept), dtype="<f4").reshape(len(kept), -1)
        cosines = page @ wanted
        best = heapq.nlargest(limit, [*best, *zip(cosines.tolist(), (id_ for id_, _ in kept), strict=True)])
    return {id_: cosine for cosine, id_ in best}
