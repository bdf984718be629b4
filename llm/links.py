"""How likely has an alert the cause of those at another place, judging by where and when they fired?

Some reasons lead from the one to the other: the same service, pod or host, a call between two services, a text that
speaks of the other. Some only say that both have surroundings in common: a namespace, a group, a name. Each has
a strength, and fades with the time between:

    strength = 1 - (1 - strongest that leads there) * (1 - surroundings),  surroundings = 1 - product of (1 - each)

What is shared by all tells nothing, so surroundings count by how few of the places at hand have them. A call counts
less when one of the two has many neighbours, and when the caller failed before what it calls.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llm.places import Place
from llm.sightings import Node, Sighting
from llm.topology import Topology

# An alert with such a name says that the whole host is gone, and with it what runs there.
_GONE = re.compile(
    r"(?:node|host|machine|instance|target|kubelet|server|vm).{0,12}"
    r"(?:down|not.?ready|unreachable|missing|lost|gone|offline|absent)",
    re.IGNORECASE,
)
_SHORTEST_NAME = 4


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each reason counts, from 0 to 1, and in how many minutes it fades to a third (`_m`)."""

    service: float = 0.92
    service_m: float = 40.0
    elsewhere: float = 0.4  # a service of this name in another namespace
    host: float = 0.3
    host_m: float = 4.0
    runs_on: float = 0.5
    gone: float = 0.9
    gone_m: float = 12.0
    call: float = 0.93
    call_m: float = 8.0
    spoken: float = 0.97
    two_calls: float = 0.15
    two_calls_m: float = 3.0
    hub: float = 0.2
    backwards: float = 0.1  # what is left of a reason when the effect came first
    slack_s: float = 30.0
    onset: float = 0.7  # how far the beginning of the other place counts in the distance, against its nearest alert
    surroundings: float = 0.6  # all of them together count no more
    beside_calls: float = 0.35  # part of the surroundings of two services whose calls are known, and not to each other
    namespace: float = 0.1
    namespace_told: float = 0.35
    surroundings_m: float = 3.0
    group_told: float = 0.3
    alert_told: float = 0.1
    alert_m: float = 3.0
    other_told: float = 0.5
    another_cluster: float = 0.3
    another_environment: float = 0.2


@dataclass(frozen=True, slots=True)
class Link:
    """How strong it is, from 0 to 1, and its best reason."""

    strength: float
    reason: str


NONE = Link(0.0, "")


@dataclass(frozen=True, slots=True)
class _Reason:
    told: str
    strength: float
    fades_m: float
    is_same_place: bool = False
    direction: int = 0  # 1: the newcomer is the effect, -1: it is the cause


class Links:
    """Weighs links between newcomers and places, given all that is at hand."""

    def __init__(self, sightings: Iterable[Sighting], topology: Topology, weights: Weights) -> None:
        everything = list(sightings)
        self._weights = weights
        self._given = topology
        self._names = {one.place.name for one in everything if one.place.name}
        self._sharing: dict[tuple[str, str], set[str]] = defaultdict(set)
        for one in everything:
            for shared in one.surroundings():
                self._sharing[shared].add(one.place.name or one.fingerprint)
        # A text that names another service tells of a call, also for the other alerts of its service.
        self._spoken = frozenset(_spoken_calls(everything, self._names))
        self._topology = topology.with_calls(self._spoken) if self._spoken else topology
        self._calls: dict[tuple[str, str], tuple[_Reason, ...]] = {}

    def link(self, one: Sighting, node: Node, at: float) -> Link:
        """The link of a newcomer that began at this time with a place."""
        near_s, since_s = node.nearest(at), at - node.onset
        weights = self._weights
        direct, told = 0.0, ""
        for reason in self._direct(one, node):
            apart_s = near_s
            if not reason.is_same_place:
                apart_s = weights.onset * since_s + (1.0 - weights.onset) * near_s
            found = reason.strength * math.exp(-abs(apart_s) / (60.0 * reason.fades_m))
            if reason.direction * apart_s < -weights.slack_s:
                found *= weights.backwards
            if found > direct:
                direct, told = found, reason.told
        around, shared = self._surroundings(one, node, weights.onset * since_s + (1.0 - weights.onset) * near_s)
        if not direct and self._are_known(one.place, node):
            around *= weights.beside_calls
        strength = 1.0 - (1.0 - direct) * (1.0 - around)
        return Link(strength * self._doubt(one.place, node), told or shared) if strength else NONE

    def _direct(self, one: Sighting, node: Node) -> Iterator[_Reason]:
        place, weights = one.place, self._weights
        if place.pod and place.pod in node.pods:
            yield _Reason(f"same pod {place.pod}", 0.95, weights.service_m, is_same_place=True)
        if place.name and place.name == node.name:
            differ = place.namespace and node.namespaces and place.namespace not in node.namespaces
            strength = weights.elsewhere if differ else weights.service
            yield _Reason(f"same place {place.name}", strength, weights.service_m, is_same_place=True)
            return
        yield from self._of_hosts(one, node)
        if place.service and node.service:
            yield from self._of_calls(place.service, node.service)

    def _of_hosts(self, one: Sighting, node: Node) -> Iterator[_Reason]:
        place, weights = one.place, self._weights
        if place.service and node.service and place.host in node.hosts:
            yield _Reason(f"same host {place.host}", weights.host, weights.host_m)
        elif place.service and node.service is None and node.name:
            if place.host == node.name or self._topology.runs_on(place.service, node.name):
                gone = any(_GONE.search(name) for name in node.alert_names)
                yield self._of_host(place.service, node.name, gone=gone, direction=1)
        elif (
            place.service is None
            and place.host
            and node.service
            and (place.host in node.hosts or self._topology.runs_on(node.service, place.host))
        ):
            yield self._of_host(node.service, place.host, gone=bool(_GONE.search(one.name)), direction=-1)

    def _of_host(self, service: str, host: str, *, gone: bool, direction: int) -> _Reason:
        weights = self._weights
        strength, fades_m = (weights.gone, weights.gone_m) if gone else (weights.runs_on, weights.host_m)
        return _Reason(f"{service} runs on {host}", strength, fades_m, direction=direction)

    def _of_calls(self, newcomer: str, other: str) -> tuple[_Reason, ...]:
        known = self._calls.get((newcomer, other))
        if known is None:
            known = self._calls[newcomer, other] = tuple(self._found_calls(newcomer, other))
        return known

    def _found_calls(self, newcomer: str, other: str) -> Iterator[_Reason]:
        weights, topology = self._weights, self._topology
        # What is called fails first, and its callers after it.
        for caller, callee, direction in ((newcomer, other, 1), (other, newcomer, -1)):
            if topology.is_call(caller, callee):
                plain = weights.call * self._closeness(caller, callee)
                strength = weights.spoken if (caller, callee) in self._spoken else plain
                yield _Reason(f"{caller} calls {callee}", strength, weights.call_m, direction=direction)
        if topology.distance(newcomer, other) == 2:
            told = f"{newcomer} and {other} have a neighbour in common"
            yield _Reason(told, weights.two_calls, weights.two_calls_m)

    def _closeness(self, one: str, other: str) -> float:
        """1 for two services with few neighbours, less when one of them is called by everybody."""
        most = max(self._topology.degree(one), self._topology.degree(other), 4)
        return 1.0 / (1.0 + self._weights.hub * (math.log2(most) - 2.0))

    def _surroundings(self, one: Sighting, node: Node, apart_s: float) -> tuple[float, str]:
        """How far the two have surroundings in common, and the most telling of them."""
        weights = self._weights
        around = math.exp(-abs(apart_s) / (60.0 * weights.surroundings_m))
        left, best = 1.0, (0.0, "")
        for kind, value in one.surroundings():
            if (kind, value) not in node.surroundings:
                continue
            told = self._told(kind, value)
            match kind:
                case "namespace":
                    strength = (weights.namespace + weights.namespace_told * told) * around
                case "group":
                    strength = weights.group_told * told * around
                case "alert":
                    strength = weights.alert_told * told * math.exp(-abs(apart_s) / (60.0 * weights.alert_m))
                case _:
                    strength = weights.other_told * told * around
            left *= 1.0 - strength
            best = max(best, (strength, f"same {kind}" if kind == "group" else f"same {kind} {value}"))
        return min(1.0 - left, weights.surroundings), best[1]

    def _told(self, kind: str, value: str) -> float:
        """How much it tells that two share this value: 0 when all have it, 1 when one of many has it."""
        total, having = len(self._names), len(self._sharing.get((kind, value), ()))
        if total < 2:
            return 0.5
        return min(1.0, max(0.0, 1.0 - math.log(max(having, 1)) / math.log(total)))

    def _are_known(self, place: Place, node: Node) -> bool:
        return place.service in self._given and node.service in self._given

    def _doubt(self, place: Place, node: Node) -> float:
        doubt = 1.0
        if place.cluster and node.clusters and place.cluster not in node.clusters:
            doubt *= self._weights.another_cluster
        if place.environment and node.environments and place.environment not in node.environments:
            doubt *= self._weights.another_environment
        return doubt


def _spoken_calls(sightings: Iterable[Sighting], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Who speaks of whom: pairs of a service and another one that stands in a text of its alerts."""
    # A name of few letters stands in many a text that doesn't speak of the service.
    sought = sorted((re.escape(name) for name in names if len(name) >= _SHORTEST_NAME), key=lambda it: (-len(it), it))
    if not sought:
        return
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(sought)})(?![\w-])")
    seen: dict[str, list[str]] = {}
    for one in sightings:
        if not one.place.service or not one.text:
            continue
        if one.text not in seen:
            seen[one.text] = pattern.findall(one.text.lower())
        yield from ((one.place.service, name) for name in seen[one.text] if name != one.place.service)
