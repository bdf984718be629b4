"""Runbooks: the sections of Markdown files in a folder, as they can be searched."""

from __future__ import annotations

from sqlalchemy import Computed, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt


class RunbookSection(Base):
    """One heading of a runbook with the text under it."""

    __tablename__ = "runbooks"

    id: Mapped[BigId]
    path: Mapped[str] = mapped_column(Text)  # below the folder
    position: Mapped[int] = mapped_column(Integer)  # of the section in its file
    heading: Mapped[str] = mapped_column(Text)
    anchor: Mapped[str] = mapped_column(Text)  # of the heading, as links name it
    body: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text)  # of the file
    search: Mapped[str] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('simple', heading), 'A') || setweight(to_tsvector('english', heading), 'A') || "
            "setweight(to_tsvector('english', body), 'C')",
            persisted=True,
        ),
        deferred=True,
    )
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    embedded_by: Mapped[str | None] = mapped_column(Text, deferred=True)
    updated_at: Mapped[CreatedAt]

    __table_args__ = (
        UniqueConstraint("path", "position"),
        Index("idx_runbooks_search", "search", postgresql_using="gin"),
        Index("idx_runbooks_anchor", "anchor"),
    )
