"""What an Alertmanager says by itself: which alerts it lists, and when it was last asked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import TIMESTAMP, BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Moment


class AlertListing(Base):
    """An alert that an Alertmanager has listed, and hence one that it can speak for.

    A table of its own, because it is written anew with each reading, and a row of `alerts` is long.
    """

    __tablename__ = "alert_listings"

    alert_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(Text)  # the addresses of the Alertmanager or its cluster, without credentials
    listed_at: Mapped[Moment]
    # How long the Alertmanager takes it to fire unless it hears of it again.
    listed_until: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class AlertmanagerReading(Base):
    """When an Alertmanager last answered, and since when it does not."""

    __tablename__ = "alertmanager_readings"

    address: Mapped[str] = mapped_column(Text, primary_key=True)  # without credentials
    asked_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    failing_since: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
