"""To which episode of an alert does each message belong, and what changes with it?  No row is touched here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

Status = Literal["firing", "resolved"]
Identity = tuple[str, datetime]  # fingerprint and start


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
