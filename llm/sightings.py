"""What of an alert matters for what belongs together, and what is known of a place where several fired?"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from llm.places import Place


@dataclass(frozen=True, slots=True)
class Sighting:
    """An alert, or an anomaly of a series."""

    key: int
    fingerprint: str
    name: str
    place: Place
    at: float  # Unix seconds
    group: str | None = None  # of the Alertmanager
    text: str = ""  # its annotations

    @property
    def where(self) -> str:
        """The name of its place; an alert without one is a place of its own."""
        return self.place.name or f"alert {self.name}"

    def surroundings(self) -> Iterator[tuple[str, str]]:
        """What it may share with alerts of other places, each with its kind."""
        place = self.place
        if place.namespace:
            yield "namespace", place.namespace
        if self.group:
            yield "group", self.group
        if place.job and not place.service:
            yield "job", place.job
        yield "alert", self.name
        yield from place.others


@dataclass(slots=True)
class Node:
    """One place of an incident: a service, a host, or what an alert without either is called."""

    where: str
    name: str | None
    service: str | None
    starts: list[float] = field(default_factory=list)  # sorted
    pods: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)
    clusters: set[str] = field(default_factory=set)
    environments: set[str] = field(default_factory=set)
    alert_names: set[str] = field(default_factory=set)
    surroundings: set[tuple[str, str]] = field(default_factory=set)

    @property
    def onset(self) -> float:
        """When its first alert began."""
        return self.starts[0]

    def nearest(self, at: float) -> float:
        """Seconds from the start nearest to that time; below 0 when all began later."""
        place = bisect_left(self.starts, at)
        return min((at - self.starts[each] for each in (place - 1, place) if 0 <= each < len(self.starts)), key=abs)

    def add(self, one: Sighting) -> None:
        """One more alert of this place."""
        insort(self.starts, one.at)
        place = one.place
        for values, value in (
            (self.pods, place.pod),
            (self.hosts, place.host),
            (self.namespaces, place.namespace),
            (self.clusters, place.cluster),
            (self.environments, place.environment),
        ):
            if value:
                values.add(value)
        self.alert_names.add(one.name)
        self.surroundings.update(one.surroundings())

    def take_over(self, other: Node) -> None:
        """All of another node of the same place."""
        self.starts = sorted([*self.starts, *other.starts])
        for mine, its in (
            (self.pods, other.pods),
            (self.hosts, other.hosts),
            (self.namespaces, other.namespaces),
            (self.clusters, other.clusters),
            (self.environments, other.environments),
            (self.alert_names, other.alert_names),
        ):
            mine |= its
        self.surroundings |= other.surroundings
