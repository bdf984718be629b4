"""How much has a change to do with an incident?  Where it was made and what it contains count, its age hardly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from llm.places import normal, place_of
from llm.relevance import change_timing, label_match

# Of a service that nobody suspects a change is still likelier the cause than one of its neighbours'.
_MEMBER, _HOST, _NEIGHBOUR = 0.75, 0.6, 0.5
_SUSPECT, _BY_RANK = 0.6, 0.4
_SHARED_LABELS = 0.6
_ELSEWHERE = 0.3  # what is left of a match when cluster or environment is another
_MOST_CONTENT = 0.2
_WITHOUT_CONTENT = 0.5
_WITH_HARM = 0.4
# Shared code fails where it is used, so a diff that explains the trouble is worth a look wherever it was deployed.
_HARM_ELSEWHERE = 0.35
_HARMLESS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What of an incident a change is compared with; names as `llm.places.normal` writes them."""

    started_at: datetime
    labels: Mapping[str, str]  # of the alert that leads it
    members: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    neighbours: frozenset[str] = frozenset()  # one call away from a member
    suspects: Mapping[str, float] = field(default_factory=dict)  # by how near they come to the first, from 0 to 1

    def names(self) -> frozenset[str]:
        """Every service that it speaks of."""
        return self.members | self.neighbours | self.suspects.keys()


def service_match(
    labels: Mapping[str, str], title: str, around: Surroundings, further_labels: Iterable[str] = ()
) -> float:
    """How far the change was made where the incident is, from 0 to 1; its labels count before its title."""
    place = place_of(labels, further_labels)
    named = {place.name} if place.name else _named_in(title, around.names())
    found = [_of_name(name, around) for name in named if name]
    if place.host in around.hosts:
        found.append(_HOST)
    match = max((*found, _SHARED_LABELS * label_match(around.labels, labels)), default=0.0)
    its = place_of(around.labels, further_labels)
    elsewhere = _differ(place.cluster, its.cluster) or _differ(place.environment, its.environment)
    return match * _ELSEWHERE if elsewhere else match


def weigh(
    service: float, content: float, harm: float | None, *, started_at: datetime, changed_at: datetime | None
) -> float:
    """The weight of a change as evidence, from 0 to 1.

    `content` is how far its texts speak of the trouble. `harm` is how far its diff explains the trouble, None when
    no diff is known; a diff that explains nothing halves the weight. Made after the start it weighs next to nothing.
    """
    here = _WITHOUT_CONTENT + _MOST_CONTENT * content
    if harm is not None:
        here = (here if harm > 0 else _HARMLESS * here) + _WITH_HARM * harm
    weight = service * here + (1.0 - service) * _HARM_ELSEWHERE * (harm or 0.0)
    return min(1.0, weight * change_timing(started_at, changed_at))


def _of_name(name: str, around: Surroundings) -> float:
    found = [0.0]
    if name in around.suspects:
        found.append(_SUSPECT + _BY_RANK * around.suspects[name])
    if name in around.members:
        found.append(_MEMBER)
    if name in around.neighbours:
        found.append(_NEIGHBOUR)
    return max(found)


def _named_in(title: str, names: Iterable[str]) -> set[str]:
    text = title.lower()
    return {name for name in names if re.search(rf"(?<![\w-]){re.escape(normal(name))}(?![\w-])", text)}


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other
