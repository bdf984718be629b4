"""To which episode of an alert does each message belong, and what changes with it?  No row is touched here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

Status = Literal["firing", "resolved"]
Identity = tuple[str, datetime]  # fingerprint and start
# What Alertmanager's own documentation says of an alert without a name is nothing; it shows an empty one.
UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class Message:
    """What a sender says of one alert."""

    fingerprint: str
    starts_at: datetime | None  # None: the open episode, or one that starts now
    status: Status
    alert_name: str
    severity: str | None
    description: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    ends_at: datetime | None
    generator_url: str | None
    group_key: str | None
    extra: Mapping[str, Any]


def message(
    *,
    fingerprint: str,
    starts_at: datetime | None,
    status: Status,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    ends_at: datetime | None,
    generator_url: str | None,
    group_key: str | None,
    extra: Mapping[str, Any],
) -> Message:
    """A message; name, severity and description are what labels and annotations say of them."""
    return Message(
        fingerprint=fingerprint,
        starts_at=starts_at,
        status=status,
        alert_name=labels.get("alertname") or UNNAMED,
        severity=labels.get("severity"),
        description=annotations.get("description") or annotations.get("summary") or annotations.get("message"),
        labels=labels,
        annotations=annotations,
        ends_at=ends_at,
        generator_url=generator_url,
        group_key=group_key,
        extra=extra,
    )


@dataclass(frozen=True, slots=True)
class KnownEpisode:
    """The newest episode of a fingerprint, as far as a message without a start needs it."""

    starts_at: datetime
    open: bool
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Episode:
    """The messages of one request that belong together, in the order in which they came."""

    fingerprint: str
    starts_at: datetime
    messages: tuple[Message, ...]
    position: int  # of its first message in the request

    @property
    def identity(self) -> Identity:
        return self.fingerprint, self.starts_at

    @property
    def last(self) -> Message:
        """The message that wins."""
        return self.messages[-1]

    def changes(self, before: str | None) -> list[str]:
        """What the history gains, when the state was `before`; None for no row."""
        gained: list[str] = []
        for message in self.messages:
            change = change_between(before, message.status)
            if change is not None:
                gained.append(change)
            before = message.status
        return gained

    def repeats(self, before: str | None, differs: bool) -> int:
        """How many of the messages told nothing new; `differs` says whether the row is another one now."""
        within = sum(_same(one, next_) for one, next_ in zip(self.messages, self.messages[1:], strict=False))
        first = self.messages[0]
        if before is None or first.status != before:
            return within
        # The first was new only if it brought what the row has now, and the row had something else.
        return within + (0 if differs and _same(first, self.last) else 1)


def to_millisecond(at: datetime) -> datetime:
    """The start of an Alertmanager's alert, cut to what is told of it everywhere.

    Its webhook tells a start to the nanosecond and its API to the millisecond; the same start must be one episode.
    """
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def change_between(before: str | None, after: Status) -> str | None:
    """The word in the history for a change of state; None when there is none."""
    if before == after:
        return None
    if after == "firing" and before == "resolved":
        return "reopened"
    return after


def gather(messages: Sequence[Message], known: Mapping[str, KnownEpisode], received_at: datetime) -> list[Episode]:
    """The episodes of these messages, sorted by identity so that two requests take their locks in one order."""
    newest = dict(known)
    found: dict[Identity, list[Message]] = {}
    positions: dict[Identity, int] = {}
    for position, message in enumerate(messages):
        starts_at = message.starts_at
        if starts_at is None:
            starts_at = _start(message, newest, received_at)
            newest[message.fingerprint] = KnownEpisode(starts_at, message.status == "firing", message.ends_at)
        identity = (message.fingerprint, starts_at)
        positions.setdefault(identity, position)
        found.setdefault(identity, []).append(message)
    return [Episode(*identity, tuple(found[identity]), positions[identity]) for identity in sorted(found)]


def without_start(messages: Iterable[Message]) -> list[str]:
    """The fingerprints whose newest episode must be known first."""
    return sorted({message.fingerprint for message in messages if message.starts_at is None})


def _start(message: Message, newest: Mapping[str, KnownEpisode], received_at: datetime) -> datetime:
    episode = newest.get(message.fingerprint)
    if episode is None:
        return received_at
    if episode.open:
        return episode.starts_at
    # A sender that had no answer says again that the alert is over: the same end of the same episode.
    repeated = message.status == "resolved" and message.ends_at in (None, episode.ends_at)
    return episode.starts_at if repeated else received_at


def _same(one: Message, other: Message) -> bool:
    return replace(one, extra={}, group_key=None) == replace(other, extra={}, group_key=None)
