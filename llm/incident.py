"""What is an incident called, how bad is it, and what do its alerts have in common?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from llm import severity
from llm.fence import neutral
from llm.similar import lexemes
from llm.wording import clipped

_MOST_NAMES = 200
_LONGEST_TITLE, _LONGEST_SAYING = 200, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An alert, or an anomaly of a series, as a part of an incident."""

    alert_id: int | None  # None for an anomaly
    name: str
    service: str | None
    severity: str | None
    labels: Mapping[str, str]
    said: str  # its summary
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An incident as a whole."""

    title: str
    severity: str | None  # the worst
    opened_at: datetime
    last_activity_at: datetime
    lead_alert_id: int | None
    lead_began_at: datetime
    said: str  # the summary of the lead
    labels: Mapping[str, str]  # that all have in common
    services: tuple[str, ...]  # in the order in which they joined
    alert_names: tuple[str, ...]

    def shows_more_than(self, other: Picture) -> bool:
        """Whether a service or an alert's name is here that the other does not have."""
        return not (set(self.services) <= set(other.services) and set(self.alert_names) <= set(other.alert_names))

    @property
    def lexemes(self) -> list[str]:
        """The words that the incident is found by later."""
        return lexemes((self.title, *self.alert_names, *self.services, self.said))


def picture(member: Member) -> Picture:
    """An incident of one member."""
    return Picture(
        title=_title(member),
        severity=member.severity,
        opened_at=member.began_at,
        last_activity_at=max(member.began_at, member.ended_at or member.began_at),
        lead_alert_id=member.alert_id,
        lead_began_at=member.began_at,
        said=clipped(member.said, _LONGEST_SAYING),
        labels=dict(member.labels),
        services=(member.service,) if member.service else (),
        alert_names=(member.name,) if member.alert_id is not None else (),
    )


def together(one: Picture, other: Picture) -> Picture:
    """Two incidents as one; the one that is worse, or else began first, gives the title."""
    lead = other if _order(other) < _order(one) else one
    return replace(
        lead,
        severity=severity.worse(one.severity, other.severity),
        opened_at=min(one.opened_at, other.opened_at),
        last_activity_at=max(one.last_activity_at, other.last_activity_at),
        labels={name: value for name, value in one.labels.items() if other.labels.get(name) == value},
        services=_united(one.services, other.services),
        alert_names=_united(one.alert_names, other.alert_names),
    )


def _order(picture: Picture) -> tuple[bool, int, datetime, int]:
    # Only an alert can lead: an anomaly has nobody to answer to.
    is_anomaly = picture.lead_alert_id is None
    return is_anomaly, -severity.rank(picture.severity), picture.lead_began_at, picture.lead_alert_id or 0


def _united(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))[:_MOST_NAMES]


def _title(member: Member) -> str:
    where = member.service or member.labels.get("instance") or member.labels.get("job")
    name = neutral(member.name) or "unnamed"
    return clipped(f"{name} on {neutral(where)}" if where else name, _LONGEST_TITLE)
