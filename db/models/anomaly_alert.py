"""Anomalies as alerts of an Alertmanager: which of them it was told of, and when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import TIMESTAMP, BigInteger, Boolean, Double, ForeignKey, Index, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt, Labels, Moment

# By this name the Alertmanager knows them, and we know what comes back.
ALERT_NAME = "SensusAnomaly"


class AnomalyAlert(Base):
    """A series that is strange, from its first anomaly to its end; the row is the job of telling so.

    Labels, fingerprint and start never change, so that the Alertmanager knows the alert again.
    """

    __tablename__ = "anomaly_alerts"

    id: Mapped[BigId]
    series_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("series.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(Text)
    labels: Mapped[Labels]
    annotations: Mapped[Labels]  # of the newest anomaly
    starts_at: Mapped[Moment]
    newest_at: Mapped[Moment]  # time of the sample of the newest anomaly
    # Where that sample was expected, when it was not there.
    expected_low: Mapped[float | None] = mapped_column(Double)
    expected_high: Mapped[float | None] = mapped_column(Double)
    # Whether these are of the growth per second of a counter.
    per_second: Mapped[bool] = mapped_column(Boolean, server_default=false())
    ends_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    first_told_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    told_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    # How long the Alertmanager takes it to fire unless it hears of it again.
    told_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    end_told_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    created_at: Mapped[CreatedAt]

    __table_args__ = (
        Index("uq_anomaly_alerts_open", "series_id", unique=True, postgresql_where=text("ends_at IS NULL")),
        Index("idx_anomaly_alerts_series_id", "series_id", "id"),
        Index("idx_anomaly_alerts_fingerprint", "fingerprint"),
        Index("idx_anomaly_alerts_untold", "id", postgresql_where=text("end_told_at IS NULL")),
    )
