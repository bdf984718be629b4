"""Who calls whom, what runs where, and how far are two services from each other?"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

FARTHEST = 3


class Topology:
    """Calls between services by name, and the hosts that they run on."""

    def __init__(self, calls: Iterable[tuple[str, str]] = (), runs_on: Iterable[tuple[str, str]] = ()) -> None:
        self.callees: dict[str, set[str]] = defaultdict(set)
        self.callers: dict[str, set[str]] = defaultdict(set)
        self.hosts: dict[str, set[str]] = defaultdict(set)
        for caller, callee in calls:
            if caller != callee:
                self.callees[caller].add(callee)
                self.callers[callee].add(caller)
        for service, host in runs_on:
            self.hosts[service].add(host)
        self._near: dict[str, dict[str, int]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.callees or name in self.callers

    def __bool__(self) -> bool:
        return bool(self.callees)

    def calls(self) -> list[tuple[str, str]]:
        """Every call, sorted."""
        return sorted((caller, callee) for caller, callees in self.callees.items() for callee in callees)

    def with_calls(self, further: Iterable[tuple[str, str]]) -> Topology:
        """The same with further calls."""
        hosts = ((service, host) for service, its in self.hosts.items() for host in its)
        return Topology([*self.calls(), *further], hosts)

    def is_call(self, caller: str, callee: str) -> bool:
        """Whether the one calls the other."""
        return callee in self.callees.get(caller, ())

    def runs_on(self, service: str, host: str) -> bool:
        """Whether the service is known to run on this host."""
        return host in self.hosts.get(service, ())

    def degree(self, name: str) -> int:
        """How many services it calls and is called by."""
        return len(self.callees.get(name, ())) + len(self.callers.get(name, ()))

    def distance(self, one: str, other: str) -> int | None:
        """Steps along calls, in whichever direction; None when it is more than three, or one is not known."""
        return self._around(one).get(other)

    def near(self, names: Iterable[str], steps: int) -> set[str]:
        """These names and all within so many steps of them."""
        found = set(names)
        for name in list(found):
            found |= {other for other, distance in self._around(name).items() if distance <= steps}
        return found

    def _around(self, name: str) -> dict[str, int]:
        known = self._near.get(name)
        if known is None:
            known = self._near[name] = self._walk(name) if name in self else {}
        return known

    def _walk(self, start: str) -> dict[str, int]:
        distances = {start: 0}
        queue = deque([start])
        while queue:
            name = queue.popleft()
            if distances[name] == FARTHEST:
                continue
            for other in self.callees.get(name, set()) | self.callers.get(name, set()):
                if other not in distances:
                    distances[other] = distances[name] + 1
                    queue.append(other)
        return distances
