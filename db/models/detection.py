"""What people say of detection, which detector they choose, and what is expected of each series next."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Double, ForeignKey, Index, Text, false, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, Moment

VERDICTS = ("real", "false")


class AnomalyFeedback(Base):
    """What a person said of an anomaly.

    It stands by series and time, not by the result: that one is gone when its retention ends, and what was learnt
    of the series stays.
    """

    __tablename__ = "anomaly_feedback"

    id: Mapped[BigId]
    series_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("series.id", ondelete="CASCADE"))
    sample_at: Mapped[Moment]
    verdict: Mapped[str] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint("verdict IN ('real', 'false')", name="verdict"),
        # The newest verdict on a sample is the first one of it.
        Index("idx_anomaly_feedback_sample", "series_id", "sample_at", text("id DESC")),
        Index("idx_anomaly_feedback_sample_at", "sample_at"),
    )


class DetectorChoice(Base):
    """Series that are scored by another detector than the rest; of several choices for a series the newest holds."""

    __tablename__ = "detector_choices"

    id: Mapped[BigId]
    metric_name: Mapped[str | None] = mapped_column(Text)
    # [[name, operator, value], ...]: conditions on labels, which all must hold.
    matchers: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    detector: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[CreatedAt]


class Forecast(Base):
    """What is expected of a series, hour by hour, as it was known at its newest sample."""

    __tablename__ = "forecasts"

    series_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True)
    # Time and smoothed value of the newest sample that it rests on.
    known_at: Mapped[Moment]
    level: Mapped[float] = mapped_column(Double)
    # The first hour that had not begun; of it and each later one the mean, and the interval around it.
    starts_at: Mapped[Moment]
    expected: Mapped[list[float]] = mapped_column(ARRAY(Double))
    low: Mapped[list[float]] = mapped_column(ARRAY(Double))
    high: Mapped[list[float]] = mapped_column(ARRAY(Double))
    # Whether all this is of the growth per second of a counter.
    per_second: Mapped[bool] = mapped_column(Boolean, server_default=false())
