"""Which alerts belong together?  Each newcomer joins the incident that it is linked with best, or opens one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llm.links import Link, Links, Weights
from llm.sightings import Node, Sighting
from llm.topology import Topology


@dataclass(frozen=True, slots=True)
class Rules:
    """When alerts and incidents are put together."""

    join: float = 0.54  # least strength of a link with an incident
    support: float = 0.12  # part of a second and a third link that supports the best one
    flaps_for_s: float = 7200.0  # the same alert again is the same incident, if it did not begin longer ago
    over_for_s: float = 600.0  # an incident that is over for so long is joined by nobody but its own alerts
    quiet_s: float = 5400.0  # a place that was quiet for so long is joined by nobody but its own alerts
    merge: float = 0.68  # least strength of a link that makes two incidents one
    merge_first: float = 0.8  # the same when one of them has a single place and both began within `first_s`
    first_s: float = 120.0
    merged_for_s: float = 360.0  # incidents that began further apart stay two
    most_places: int = 2  # of the smaller one: two large incidents are not one because of one alert


@dataclass(frozen=True, slots=True)
class Known:
    """An incident that is there already, with its members of late."""

    id: int
    members: tuple[Sighting, ...]
    ended_at: float | None = None  # Unix seconds; None while something of it fires


@dataclass(frozen=True, slots=True)
class Joined:
    """Where a newcomer went.  An id below 0 is of an incident that is opened here."""

    key: int
    incident: int
    reason: str
    strength: float


@dataclass(frozen=True, slots=True)
class Merged:
    """A known incident that turned out to be one with another."""

    from_id: int
    into_id: int


@dataclass(frozen=True, slots=True)
class Grouping:
    """What becomes of the newcomers, in the order of their beginnings."""

    joined: tuple[Joined, ...]
    merged: tuple[Merged, ...]


_FIRST = Link(1.0, "the first of its incident")
_NO_LINK = Link(0.0, "")


def group(
    newcomers: Sequence[Sighting],
    known: Iterable[Known],
    topology: Topology,
    rules: Rules | None = None,
    weights: Weights | None = None,
) -> Grouping:
    """Put each newcomer into one of the known incidents, or into a new one.

    The same whatever order the newcomers are given in: they are taken in the order of their beginnings.
    """
    there = list(known)
    everything = [*newcomers, *(one for incident in there for one in incident.members)]
    grouper = _Grouper(there, Links(everything, topology, weights or Weights()), rules or Rules())
    for one in sorted(newcomers, key=lambda one: (one.at, one.fingerprint, one.key)):
        grouper.take(one)
    return grouper.result()


@dataclass(slots=True)
class _Incident:
    id: int
    nodes: dict[str, Node] = field(default_factory=dict)
    latest: dict[str, float] = field(default_factory=dict)  # start of each alert, by its fingerprint
    ended_at: float | None = None

    @property
    def onset(self) -> float:
        return min(node.onset for node in self.nodes.values())

    def add(self, one: Sighting) -> None:
        self.ended_at = None
        node = self.nodes.get(one.where)
        if node is None:
            node = self.nodes[one.where] = Node(one.where, one.place.name, one.place.service)
        node.add(one)
        self.latest[one.fingerprint] = max(one.at, self.latest.get(one.fingerprint, one.at))

    def take_over(self, other: _Incident) -> None:
        for where, node in other.nodes.items():
            if where in self.nodes:
                self.nodes[where].take_over(node)
            else:
                self.nodes[where] = node
        for fingerprint, at in other.latest.items():
            self.latest[fingerprint] = max(at, self.latest.get(fingerprint, at))


class _Grouper:
    def __init__(self, known: Iterable[Known], links: Links, rules: Rules) -> None:
        self._links = links
        self._rules = rules
        self._there: dict[int, _Incident] = {}
        self._opened = 0
        self._joined: list[Joined] = []
        self._into: dict[int, int] = {}
        for incident in known:
            self._there[incident.id] = made = _Incident(incident.id)
            for one in incident.members:
                made.add(one)
            made.ended_at = incident.ended_at

    def take(self, one: Sighting) -> None:
        """Find the newcomer's incident, and see whether it ties two of them together."""
        best, link = self._best(one)
        if best is None:
            self._opened += 1
            best, link = _Incident(-self._opened), _FIRST
            self._there[best.id] = best
        best.add(one)
        self._joined.append(Joined(one.key, best.id, link.reason, round(min(link.strength, 1.0), 3)))
        self._merge(one, best)

    def result(self) -> Grouping:
        joined = tuple(
            Joined(each.key, self._final(each.incident), each.reason, each.strength) for each in self._joined
        )
        return Grouping(joined, tuple(Merged(each, self._final(each)) for each in sorted(self._into) if each > 0))

    def _best(self, one: Sighting) -> tuple[_Incident | None, Link]:
        best, strongest = None, Link(self._rules.join, "")
        for incident in sorted(self._there.values(), key=lambda each: -each.id):
            link = self._again(one, incident) or self._link(one, incident, one.at)
            if link.strength >= strongest.strength:
                best, strongest = incident, link
        return best, strongest

    def _again(self, one: Sighting, incident: _Incident) -> Link | None:
        before = incident.latest.get(one.fingerprint)
        if before is None or abs(one.at - before) > self._rules.flaps_for_s:
            return None
        return Link(2.0 - abs(one.at - before) / self._rules.flaps_for_s, "the same alert again")

    def _link(self, one: Sighting, incident: _Incident, at: float) -> Link:
        """The best link with a place of the incident, and what others add to it."""
        if incident.ended_at is not None and at > incident.ended_at + self._rules.over_for_s:
            return _NO_LINK
        nodes = (node for node in incident.nodes.values() if abs(node.nearest(at)) <= self._rules.quiet_s)
        found = sorted((self._links.link(one, node, at) for node in nodes), key=lambda link: -link.strength)
        if not found:
            return _NO_LINK
        left = 1.0 - found[0].strength
        for link in found[1:4]:
            left *= 1.0 - self._rules.support * link.strength
        return Link(1.0 - left, found[0].reason)

    def _merge(self, one: Sighting, mine: _Incident) -> None:
        """Small incidents that this alert's place turns out to belong to as well become one with its own."""
        # The place is linked by its own beginning, not by that of its latest alert.
        onset = mine.nodes[one.where].onset
        ties = [
            (link.strength, other.id)
            for other in self._there.values()
            if other is not mine and self._may_be_one(mine, other)
            for link in (self._link(one, other, onset),)
            if link.strength >= self._least(mine, other)
        ]
        for _, other_id in sorted(ties, reverse=True):
            other = self._there[other_id]
            if self._may_be_one(mine, other):
                mine = self._united(mine, other)

    def _may_be_one(self, one: _Incident, other: _Incident) -> bool:
        rules = self._rules
        smaller = min(len(one.nodes), len(other.nodes))
        return smaller <= rules.most_places and abs(one.onset - other.onset) <= rules.merged_for_s

    def _least(self, one: _Incident, other: _Incident) -> float:
        is_first = min(len(one.nodes), len(other.nodes)) == 1 and abs(one.onset - other.onset) <= self._rules.first_s
        return self._rules.merge_first if is_first else self._rules.merge

    def _united(self, one: _Incident, other: _Incident) -> _Incident:
        # A known one stays, of two such the one that began first.
        kept, gone = sorted((one, other), key=lambda each: (each.id < 0, each.onset, each.id))
        kept.take_over(gone)
        del self._there[gone.id]
        self._into[gone.id] = kept.id
        return kept

    def _final(self, incident_id: int) -> int:
        while incident_id in self._into:
            incident_id = self._into[incident_id]
        return incident_id
