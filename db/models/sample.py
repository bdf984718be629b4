"""Series, their samples and scores, and how far scoring has come."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, Labels, Moment

# What `scores.state` holds for each declared state of scoring.
STATE_CODES = {"warming_up": 0, "scoring": 1, "stale": 2}
STATE_NAMES = {code: name for name, code in STATE_CODES.items()}


class Series(Base):
    """A metric name with its labels, written once."""

    __tablename__ = "series"

    id: Mapped[BigId]
    metric_name: Mapped[str] = mapped_column(Text)
    labels: Mapped[Labels]
    # SHA-256 of name and sorted labels: equality of jsonb can't carry a unique index of bounded size.
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        Index("idx_series_metric_name", "metric_name", "id"),
        Index("idx_metrics_labels", "labels", postgresql_using="gin"),
    )


class SeriesProgress(Base):
    """How far a series is stored and scored: unfinished where newest_at lies beyond scored_until.

    What is in `sample_arrivals` is not noted here yet.
    """

    __tablename__ = "series_progress"

    series_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True)
    newest_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    scored_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # How long the oldest unscored sample has been here, at most; means nothing where all is scored.
    unscored_since: Mapped[CreatedAt]
    late_samples: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    # The memory of the series, as `ml` wrote it; what changes once an hour is apart, and is stored apart.
    memory: Mapped[bytes | None] = mapped_column(LargeBinary)
    rings: Mapped[bytes | None] = mapped_column(LargeBinary)
    # Of a counter the last sample that was compared, and that the next is to be compared with: its memory is of growth
    # per second. Of other series null.
    counted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    counted: Mapped[float | None] = mapped_column(Double)
    # What the version that scores in the shadow remembers beside it, and which version that is.
    shadow_memory: Mapped[bytes | None] = mapped_column(LargeBinary)
    shadow_version_id: Mapped[int | None] = mapped_column(BigInteger)
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # No index: it would cost each claim more than it saves the start of a worker.
    claimed_by: Mapped[str | None] = mapped_column(Text)


class SampleArrival(Base):
    """The samples that one request stored, until they are noted in the progress of their series.

    Ingest leaves this one row where it would have to change one for each series.
    """

    __tablename__ = "sample_arrivals"

    id: Mapped[BigId]
    # Of each sample its series and its time, in whole microseconds after 1970.
    series_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    times: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    stored_at: Mapped[CreatedAt]


class NewSeriesCount(Base):
    """How many new series a caller has asked for since the hour began that is counted."""

    __tablename__ = "new_series_counts"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    since: Mapped[Moment]
    asked: Mapped[int] = mapped_column(BigInteger)


# These are partitioned by week of `timestamp`.  The one index is unique, so it is the key as well.
samples = Table(
    "samples",
    Base.metadata,
    Column("series_id", BigInteger, nullable=False),
    Column("timestamp", TIMESTAMP(timezone=True), nullable=False),
    Column("value", Double, nullable=False),
    postgresql_partition_by="RANGE (timestamp)",
)
Index("idx_metrics_name_ts", samples.c.series_id, samples.c.timestamp.desc(), unique=True)

scores = Table(
    "scores",
    Base.metadata,
    Column("series_id", BigInteger, nullable=False),
    Column("timestamp", TIMESTAMP(timezone=True), nullable=False),
    Column("score", Double, nullable=False),
    Column("alert", Double, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("model_version_id", BigInteger, nullable=False),
    postgresql_partition_by="RANGE (timestamp)",
)
Index("idx_scores_series_ts", scores.c.series_id, scores.c.timestamp.desc(), unique=True)

# What the version said that scores in the shadow of the one whose figures are in `scores`.
shadow_scores = Table(
    "shadow_scores",
    Base.metadata,
    Column("series_id", BigInteger, nullable=False),
    Column("timestamp", TIMESTAMP(timezone=True), nullable=False),
    Column("score", Double, nullable=False),
    Column("alert", Double, nullable=False),
    Column("model_version_id", BigInteger, nullable=False),
    postgresql_partition_by="RANGE (timestamp)",
)
Index("idx_shadow_scores_series_ts", shadow_scores.c.series_id, shadow_scores.c.timestamp.desc(), unique=True)

__all__ = [
    "STATE_CODES",
    "STATE_NAMES",
    "NewSeriesCount",
    "SampleArrival",
    "Series",
    "SeriesProgress",
    "samples",
    "scores",
    "shadow_scores",
]
