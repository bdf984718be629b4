"""What do the calls between services tell, beside what each service's own metrics do?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ml.rootcause.incident import Edge, FloatArray, Incident, Settings

_OUTSIDE = re.compile(r"remote$|external|(^|[_\W])elb($|[_\W])|load.?balancer|_client$|^\d+\.\d+\.\d+\.\d+|unknown")


def call_columns(
    series: Sequence[tuple[str, str]], kinds: Sequence[str], callees: Mapping[str, frozenset[str]]
) -> dict[Edge, tuple[int, int]]:
    """Workload columns of caller and callee for each edge where both are measured."""
    load: dict[str, int] = {}
    for column, ((service, _), kind) in enumerate(zip(series, kinds, strict=True)):
        if kind == "workload":
            load.setdefault(service, column)
    return {
        (caller, callee): (load[caller], load[callee])
        for caller in sorted(callees)
        for callee in sorted(callees[caller])
        if caller in load and callee in load
    }


_SEEN = re.compile(r"(^|[_\W])(seen_by|observed_by|reporter_source|source)([_\W]|$)")


_SERVED = re.compile(r"(^|[_\W])(served_to|answered_to|reporter_destination|destination)([_\W]|$)")


def transit_columns(series: Sequence[tuple[str, str]], kinds: Sequence[str]) -> list[tuple[int, int]]:
    """(measured at the service, seen by the caller): the same latency from both ends of the wire."""
    served: dict[tuple[str, str], int] = {}
    seen: dict[tuple[str, str], int] = {}
    for column, ((service, metric), kind) in enumerate(zip(series, kinds, strict=True)):
        name = metric.lower()
        if kind == "latency" and _SERVED.search(name):
            served.setdefault((service, _SERVED.sub("_", name)), column)
        elif kind == "latency" and _SEEN.search(name):
            seen.setdefault((service, _SEEN.sub("_", name)), column)
    return [(served[key], seen[key]) for key in seen if key in served]


def with_ratios(values: FloatArray, pairs: Iterable[tuple[int, int]]) -> FloatArray:
    """Columns for calls to a callee per call of the caller are added; none where the caller has no load."""
    columns = [
        np.divide(values[:, down], values[:, up], out=np.full(len(values), np.nan), where=values[:, up] > 0)
        for up, down in pairs
    ]
    return np.column_stack([values, *columns]) if columns else values


def callees_of(incident: Incident, known: Iterable[str]) -> dict[str, frozenset[str]]:
    """Callees of each known service; a service without metrics is replaced by its own callees."""
    direct: dict[str, set[str]] = {}
    for caller, callee in incident.calls:
        if caller != callee:
            direct.setdefault(caller, set()).add(callee)
    seen_services = frozenset(known)
    found: dict[str, frozenset[str]] = {}
    for service in direct.keys() & seen_services:
        reached: set[str] = set()
        visited: set[str] = {service}
        waiting = list(direct[service])
        while waiting:
            callee = waiting.pop()
            if callee in visited:
                continue
            visited.add(callee)
            if callee in seen_services:
                reached.add(callee)
            else:
                waiting.extend(direct.get(callee, ()))
        if reached:
            found[service] = frozenset(reached)
    return found


def reachable_from(incident: Incident, callees: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """Services downstream of the alerting one (or of the graph's entries); None when the graph does not tell."""
    if not callees:
        return None
    called = frozenset(callee for names in callees.values() for callee in names)
    alerting = incident.alert.service if incident.alert is not None else ""
    sources = [alerting] if alerting in callees or alerting in called else [s for s in callees if s not in called]
    if not sources:
        return None
    seen = set(sources)
    waiting = list(sources)
    while waiting:
        for callee in callees.get(waiting.pop(), ()):
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return frozenset(seen)


def place_factor(
    service: str, callees: Mapping[str, frozenset[str]], reachable: frozenset[str] | None, settings: Settings
) -> float:
    factor = 1.0
    if reachable is not None and service not in reachable:
        factor *= settings.unreachable
    if callees and service not in callees and _OUTSIDE.search(service.lower()):
        factor *= settings.outside_view
    return factor
