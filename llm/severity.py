"""Which of two severities is the worse?  Senders write what they like."""

from __future__ import annotations

_RANKS = {
    "critical": 5, "crit": 5, "page": 5, "fatal": 5, "emergency": 5, "emerg": 5, "disaster": 5, "p1": 5, "sev1": 5,
    "alert": 4, "high": 4, "error": 4, "err": 4, "major": 4, "p2": 4, "sev2": 4,
    "warning": 3, "warn": 3, "medium": 3, "average": 3, "minor": 3, "p3": 3, "sev3": 3,
    "low": 2, "notice": 2, "p4": 2, "sev4": 2, "ticket": 2,
    "info": 1, "informational": 1, "information": 1, "none": 1, "debug": 1, "ok": 1, "p5": 1, "sev5": 1,
}  # fmt: skip
# A word that nobody knows is neither the worst nor to be passed over.
_UNKNOWN = 3


def rank(severity: str | None) -> int:
    """From 0 (none) to 5 (the worst)."""
    return 0 if not severity else _RANKS.get(severity.strip().lower(), _UNKNOWN)


def worse(one: str | None, other: str | None) -> str | None:
    """The worse of the two, as it was written; of equal ones the first."""
    return other if rank(other) > rank(one) else one
