"""What is expected of each series in the next hours, as its scorer knew it when its last hour closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, TIMESTAMP, BigInteger, Boolean, Double, Text, bindparam, select, text
from sqlalchemy.orm import Session

from db import direct
from db.models.detection import Forecast

# Arrays of arrays can't be told apart by `unnest`, so each row's come as text.
_KEEP = """
    INSERT INTO forecasts (series_id, known_at, level, starts_at, expected, low, high, per_second)
    SELECT series_id, known_at, level, starts_at, expected::float8[], low::float8[], high::float8[],
        per_second
    FROM unnest(:series_ids, :known_at, :levels, :starts_at, :expected, :low, :high, :per_second)
        AS made (series_id, known_at, level, starts_at, expected, low, high, per_second)
    ON CONFLICT (series_id) DO UPDATE SET
        known_at = EXCLUDED.known_at, level = EXCLUDED.level, starts_at = EXCLUDED.starts_at,
        expected = EXCLUDED.expected, low = EXCLUDED.low, high = EXCLUDED.high,
        per_second = EXCLUDED.per_second
"""


@dataclass(frozen=True, slots=True)
class NewForecast:
    """What is expected of a series: of each hour from `starts_at` on the mean, and the interval around it."""

    series_id: int
    known_at: datetime
    level: float
    starts_at: datetime
    expected: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    per_second: bool = False  # of a counter: how fast it is expected to grow


def keep(session: Session, made: Sequence[NewForecast]) -> None:
    """Replace what was expected of these series before."""
    if not made:
        return
    moments = ARRAY(TIMESTAMP(timezone=True))
    session.execute(
        text(_KEEP).bindparams(
            bindparam("series_ids", [one.series_id for one in made], type_=ARRAY(BigInteger)),
            bindparam("known_at", [one.known_at for one in made], type_=moments),
            bindparam("levels", [one.level for one in made], type_=ARRAY(Double)),
            bindparam("starts_at", [one.starts_at for one in made], type_=moments),
            bindparam("expected", [direct.array(one.expected) for one in made], type_=ARRAY(Text)),
            bindparam("low", [direct.array(one.low) for one in made], type_=ARRAY(Text)),
            bindparam("high", [direct.array(one.high) for one in made], type_=ARRAY(Text)),
            bindparam("per_second", [one.per_second for one in made], type_=ARRAY(Boolean)),
        )
    )


def of_series(session: Session, series_ids: Sequence[int]) -> dict[int, Forecast]:
    """By series; those without a forecast are left out."""
    rows = session.scalars(select(Forecast).where(Forecast.series_id.in_(series_ids)))
    return {row.series_id: row for row in rows}
