"""To which episode a message belongs, and what it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from db.queries.episodes import Episode, KnownEpisode, Message, change_between, gather
from tests.factories import START

NOW = START + timedelta(hours=1)
FIRING = Message("f", START, "firing", "A", None, None, {}, {}, None, None, None, {})
RESOLVED = replace(FIRING, status="resolved", ends_at=START + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (None, "firing", "firing"),
        (None, "resolved", "resolved"),
        ("firing", "firing", None),
        ("firing", "resolved", "resolved"),
        ("resolved", "resolved", None),
        ("resolved", "firing", "reopened"),
        ("stale", "firing", "firing"),
        ("stale", "resolved", "resolved"),
    ],
)
def test_each_change_of_state_has_its_word(before: str | None, after: str, change: str | None) -> None:
    assert change_between(before, "firing" if after == "firing" else "resolved") == change


@pytest.mark.parametrize(
    ("known", "message", "start"),
    [
        (None, FIRING, NOW),
        (None, RESOLVED, NOW),
        (KnownEpisode(START, True, None), FIRING, START),
        (KnownEpisode(START, True, None), RESOLVED, START),
        (KnownEpisode(START, False, RESOLVED.ends_at), FIRING, NOW),
        (KnownEpisode(START, False, RESOLVED.ends_at), RESOLVED, START),
        (KnownEpisode(START, False, RESOLVED.ends_at), replace(RESOLVED, ends_at=None), START),
        (KnownEpisode(START, False, RESOLVED.ends_at), replace(RESOLVED, ends_at=NOW), NOW),
    ],
)
def test_a_message_without_a_start_finds_its_episode(
    known: KnownEpisode | None, message: Message, start: datetime
) -> None:
    (episode,) = gather([replace(message, starts_at=None)], {"f": known} if known else {}, NOW)
    assert episode.starts_at == start


def test_episodes_come_in_the_order_of_locks() -> None:
    messages = [replace(FIRING, fingerprint=name) for name in "cab"]
    assert [episode.fingerprint for episode in gather(messages, {}, NOW)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("messages", "before", "differs", "repeats"),
    [
        ((FIRING,), None, True, 0),
        ((FIRING,), "firing", False, 1),
        ((FIRING,), "firing", True, 0),
        ((FIRING,), "resolved", True, 0),
        ((FIRING, FIRING), None, True, 1),
        ((FIRING, FIRING), "firing", False, 2),
        ((FIRING, RESOLVED), "firing", True, 1),
        ((RESOLVED, FIRING), "firing", True, 0),
    ],
)
def test_repeats_are_told_from_news(
    messages: tuple[Message, ...], before: str | None, differs: bool, repeats: int
) -> None:
    assert Episode("f", START, messages, 0).repeats(before, differs) == repeats
