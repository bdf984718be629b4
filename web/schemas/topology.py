"""Who calls whom, as it is given and answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
from marshmallow import Schema, fields, validate

from db.models.topology import SOURCES
from db.queries.topology import Edge, Kind
from sensus.storable import LABEL_VALUE_BYTES, NotStorable, check_text
from web import bodies
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas.fields import NAME_LENGTH, Moment, Text

MOST_EDGES = 10_000
# What other tools call the two ends.
_CALLERS = ("caller", "source", "from", "client")
_CALLEES = ("callee", "target", "to", "server", "destination")
_LISTS = ("edges", "topology", "calls")
_MAPS = ("services", "dependencies")


class EdgeIn(msgspec.Struct):
    """A service that calls another one, or runs on a host."""

    caller: str
    callee: str
    kind: Literal["calls", "runs_on"] = "calls"


class TopologyIn(msgspec.Struct):
    """Edges, as objects or as pairs `[caller, callee]`; with `replace` all that was given before is forgotten."""

    edges: list[EdgeIn | tuple[str, str]]
    replace: bool = False


class TopologyReceipt(msgspec.Struct):
    """What became of the edges."""

    accepted: int
    created: int
    removed: int
    request_id: str


class TopologyQuery(StrictSchema, PageSchema):
    """Which edges."""

    service = Text(shortest=1, longest=NAME_LENGTH, metadata={"description": "Only edges to or from this service"})


class EdgeAnswer(Schema):
    """Who calls whom, and who told of it."""

    caller = fields.String()
    callee = fields.String()
    kind = fields.String(validate=validate.OneOf(get_args(Kind)))
    source = fields.String(validate=validate.OneOf(SOURCES))
    first_seen = Moment()
    last_seen = Moment()


class TopologyAnswer(Schema):
    """A page of edges, by name."""

    items = fields.List(fields.Nested(EdgeAnswer))
    next_cursor = fields.String(allow_none=True)


@dataclass(frozen=True, slots=True)
class Given:
    """The edges of a request, each once."""

    edges: tuple[Edge, ...]
    replace: bool


def read(body: bytes) -> Given:
    """The edges of a body.  Raises Unreadable when it is no JSON, Invalid when an edge is not as it must be."""
    given = bodies.read_json(body)
    replace = isinstance(given, dict) and given.get("replace") is True
    edges: dict[Edge, None] = {}
    for path, item in _items(given):
        edges[_edge(path, item)] = None
    if len(edges) > MOST_EDGES:
        raise bodies.invalid({"edges": f"{len(edges)} edges; at most {MOST_EDGES} in one request"})
    return Given(tuple(edges), replace)


def _items(given: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(given, list):
        yield from ((str(place), item) for place, item in enumerate(given))
        return
    named = next((name for name in _LISTS if isinstance(given.get(name), list)), None)
    if named is not None:
        yield from ((f"{named}.{place}", item) for place, item in enumerate(given[named]))
        return
    named = next((name for name in _MAPS if isinstance(given.get(name), dict)), None)
    if named is None:
        raise bodies.invalid({"edges": "must be a list of {caller, callee} or of [caller, callee]"})
    for caller, callees in given[named].items():
        if not isinstance(callees, list):
            raise bodies.invalid({f"{named}.{caller}": "must be a list of the services that it calls"})
        yield from ((f"{named}.{caller}.{place}", [caller, callee]) for place, callee in enumerate(callees))


def _edge(path: str, item: Any) -> Edge:
    kind: Any = "calls"
    if isinstance(item, Mapping):
        caller, callee = _end(item, _CALLERS), _end(item, _CALLEES)
        kind = item.get("kind", "calls")
    elif isinstance(item, list) and len(item) == 2:
        caller, callee = item
    else:
        caller = callee = None
    if kind not in get_args(Kind):
        raise bodies.invalid({f"{path}.kind": "must be calls or runs_on"})
    for name, value in (("caller", caller), ("callee", callee)):
        if not isinstance(value, str) or not value.strip():
            raise bodies.invalid({f"{path}.{name}": "missing, or no text"})
        try:
            check_text(value, f"{path}.{name}", LABEL_VALUE_BYTES // 2)
        except NotStorable as error:
            raise bodies.invalid({error.field: str(error)}) from None
    return Edge(caller.strip(), callee.strip(), kind)


def _end(item: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((item[name] for name in names if name in item), None)
