"""Who calls whom and what runs where, as far as is known by now, by names as they are compared."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from db.queries import topology
from llm.places import normal
from llm.topology import Topology


def known(session: Session) -> Topology:
    """All of it, whoever told."""
    calls, runs_on = topology.everything(session)
    return Topology(_compared(calls), _compared(runs_on))


def _compared(edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(normal(one), normal(other)) for one, other in edges]
