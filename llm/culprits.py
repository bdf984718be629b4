"""Which services may an answer blame?  The suspects that were ranked, and those that the evidence names."""

from __future__ import annotations

from llm.evidence import Case, EvidenceItem
from llm.fence import neutral
from llm.places import normal, place_of
from llm.planted import is_a_name

NOBODY = "unknown"
_MOST = 25


def service_of(item: EvidenceItem) -> str | None:
    """The service that a piece of evidence is about; None when it tells none."""
    told = item.facts.get("service")
    return normal(told) if isinstance(told, str) and told.strip() else place_of(item.labels).name


def blamable(case: Case) -> tuple[str, ...]:
    """Names of services, likeliest first: suspects before the others, in the order of the evidence."""
    ranked = (service_of(item) for item in (*case.suspects, *case.evidence))
    names = dict.fromkeys(name for name in ranked if name and is_a_name(name) and neutral(name) == name)
    return tuple(names)[:_MOST]


def suspect_named(case: Case, service: str | None) -> EvidenceItem | None:
    """The suspect that is this service."""
    return next((item for item in case.suspects if service is not None and service_of(item) == service), None)


def chance(item: EvidenceItem | None) -> float | None:
    """How likely a suspect is the cause, by the calibrated statistics; None when none were made."""
    told = None if item is None else item.facts.get("confidence")
    return float(told) if isinstance(told, int | float) and not isinstance(told, bool) else None
