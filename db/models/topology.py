"""Who calls whom and what runs where, as far as labels, traces and people have told."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt

SOURCES = ("api", "labels", "traces")
CALLS = "calls"
RUNS_ON = "runs_on"


class TopologyEdge(Base):
    """A service depends on another one, or on the host that it runs on."""

    __tablename__ = "topology_edges"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    callee: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, server_default=text(f"'{CALLS}'"))
    first_seen: Mapped[CreatedAt]
    last_seen: Mapped[CreatedAt]

    __table_args__ = (
        CheckConstraint(f"source IN ({', '.join(repr(source) for source in SOURCES)})", name="source"),
        CheckConstraint(f"kind IN ('{CALLS}', '{RUNS_ON}')", name="kind"),
        Index("idx_topology_edges_callee", "callee", "caller", "source"),
        Index("idx_topology_edges_last_seen", "last_seen"),
    )
