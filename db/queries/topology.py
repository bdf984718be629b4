"""Who calls whom and what runs where: told, seen again, listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec
from sqlalchemy import Select, or_, select, text, tuple_
from sqlalchemy.orm import Session

from db.models.topology import CALLS, RUNS_ON, TopologyEdge

Source = Literal["api", "labels", "traces"]
Kind = Literal["calls", "runs_on"]
# More than the largest graph that a person would draw, and still a small part of a second to read.
MOST_EDGES = 50_000


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """A service that depends on another one, or on a host."""

    caller: str
    callee: str
    kind: Kind = "calls"


_STORE = text(
    """
    INSERT INTO topology_edges AS e (caller, callee, kind, source)
    SELECT r.caller, r.callee, r.kind, :source FROM json_to_recordset(:rows) AS r (caller text, callee text, kind text)
    ORDER BY r.caller, r.callee
    ON CONFLICT (caller, callee, source) DO UPDATE SET last_seen = now(), kind = EXCLUDED.kind
    WHERE e.last_seen < now() - :news OR e.kind <> EXCLUDED.kind
    RETURNING xmax = 0 AS is_new
    """
)
_FORGET = text(
    """
    DELETE FROM topology_edges WHERE (caller, callee, source) IN (
        SELECT caller, callee, source FROM topology_edges
        WHERE last_seen < now() - :age AND source <> 'api' LIMIT :limit
    ) RETURNING 1
    """
)
_REPLACE = text(
    """
    DELETE FROM topology_edges e WHERE source = 'api' AND NOT EXISTS (
        SELECT FROM json_to_recordset(:rows) AS r (caller text, callee text)
        WHERE r.caller = e.caller AND r.callee = e.callee
    ) RETURNING 1
    """
)


def store(session: Session, edges: Iterable[Edge], *, source: Source, news: timedelta = timedelta(0)) -> int:
    """Remember that these were seen now; how many are new.

    With `news` a row is not written again that was seen less long ago than that.
    """
    rows = _as_json(edges)
    return sum(session.scalars(_STORE, {"rows": rows, "source": source, "news": news}))


def replace_given(session: Session, edges: Iterable[Edge]) -> int:
    """Of what people gave, forget all but these; how many went."""
    return len(session.scalars(_REPLACE, {"rows": _as_json(edges)}).all())


def forget(session: Session, *, days: int, limit: int) -> int:
    """Forget what was not seen for so long and that nobody gave; how many went."""
    return len(session.scalars(_FORGET, {"age": timedelta(days=days), "limit": limit}).all())


def everything(session: Session) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """All calls, and what runs where; each pair once, whoever told of it."""
    rows = session.execute(
        select(TopologyEdge.caller, TopologyEdge.callee, TopologyEdge.kind)
        .order_by(TopologyEdge.last_seen.desc())
        .limit(MOST_EDGES)
    ).all()
    found: dict[str, set[tuple[str, str]]] = {CALLS: set(), RUNS_ON: set()}
    for caller, callee, kind in rows:
        found[kind].add((caller, callee))
    return sorted(found[CALLS]), sorted(found[RUNS_ON])


def listing(
    session: Session, *, limit: int, after: tuple[str, str, str] | None = None, service: str | None = None
) -> Sequence[TopologyEdge]:
    """Up to `limit` edges in the order of their names, after the one with this key; those of one service if given."""
    return session.scalars(listing_query(limit=limit, after=after, service=service)).all()


def listing_query(
    *, limit: int, after: tuple[str, str, str] | None = None, service: str | None = None
) -> Select[TopologyEdge]:
    """The statement behind `listing`, so that its plan can be looked at."""
    key = (TopologyEdge.caller, TopologyEdge.callee, TopologyEdge.source)
    query = select(TopologyEdge).order_by(*key).limit(limit)
    if service is not None:
        query = query.where(or_(TopologyEdge.caller == service, TopologyEdge.callee == service))
    return query if after is None else query.where(tuple_(*key) > after)


def _as_json(edges: Iterable[Edge]) -> str:
    # One statement can't touch a row twice.
    distinct = {(edge.caller, edge.callee): edge.kind for edge in edges}
    rows = [{"caller": caller, "callee": callee, "kind": kind} for (caller, callee), kind in distinct.items()]
    return msgspec.json.encode(rows).decode()
