"""A change event as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec

from db.queries.events import NewEvent
from sensus import times
from sensus.errors import Unreadable
from sensus.storable import NotStorable, check_pairs, check_text
from web import bodies

Kind = Literal["deploy", "config", "scale", "feature_flag", "other"]
_URL_BYTES = 2_048
MOST_COMMITS = 200
MOST_FILES = 500
MESSAGE_BYTES = 16_384
DIFF_BYTES = 262_144


class CommitIn(msgspec.Struct):
    """One commit of a change; what it says and touches is compared with what goes wrong afterwards."""

    id: str
    message: str = ""
    files: list[str] = []
    diff: str = ""


class EventIn(msgspec.Struct):
    """A change that may explain what follows.  Without a timestamp it is of now."""

    kind: Kind
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    labels: dict[str, str] | None = None
    timestamp: str | float | None = None
    url: str | None = None
    commits: list[CommitIn] | None = None


_EVENT = msgspec.json.Decoder(EventIn)


def read(body: bytes, received_at: datetime) -> NewEvent:
    """The event of a body.  Raises Unreadable when it is no JSON object, Invalid when a field is not as it must be."""
    if isinstance(bodies.open_json(body), list):
        raise Unreadable("send one event as a JSON object")
    try:
        event = _EVENT.decode(body)
    except msgspec.ValidationError as error:
        field, message = bodies.what_is_wrong(error)
        if field == "kind":
            message = f"must be one of {', '.join(get_args(Kind))}"
        raise bodies.invalid({field or "body": message}) from None
    labels = event.labels or {}
    try:
        if not event.title.strip():
            raise NotStorable("invalid", "title", "is blank")
        check_text(event.title, "title", 2_000)
        check_pairs(labels, "labels")
        check_text(event.url or "", "url", _URL_BYTES)
        if event.url and not event.url.startswith(("http://", "https://")):
            # It becomes a link in the console, where another scheme could be a script.
            raise NotStorable("bad_url", "url", "must start with http:// or https://")
        details = {"commits": [_commit(commit) for commit in event.commits[:MOST_COMMITS]]} if event.commits else {}
        at = received_at if event.timestamp is None else times.parse(event.timestamp)
    except NotStorable as error:
        raise bodies.invalid({error.field: str(error)}) from None
    except times.BadTime as error:
        raise bodies.invalid({"timestamp": str(error)}) from None
    return NewEvent(event.kind, event.title, labels, at, event.url, timed=event.timestamp is not None, details=details)


def _commit(commit: CommitIn) -> dict[str, Any]:
    check_text(commit.id, "commits.id", 200)
    check_text(commit.message, "commits.message", MESSAGE_BYTES)
    check_text(commit.diff, "commits.diff", DIFF_BYTES)
    for file in commit.files[:MOST_FILES]:
        check_text(file, "commits.files", _URL_BYTES)
    return {
        "id": commit.id,
        "message": commit.message,
        "files": commit.files[:MOST_FILES],
        **({"diff": commit.diff} if commit.diff else {}),
    }
