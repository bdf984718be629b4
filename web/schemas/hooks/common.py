"""What the webhooks about changes have in common: how their JSON is opened, and what is kept of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from db.queries.events import NewEvent
from sensus import times
from sensus.storable import LABEL_VALUE_BYTES
from web import bodies
from web.schemas.ingest_events import MESSAGE_BYTES, MOST_COMMITS, MOST_FILES, Kind

# What such files hold is read at start or run time, and compiled into nothing.
_CONFIG_FILE = re.compile(
    r"\.(?:ya?ml|json|toml|ini|cfg|conf|env|properties|tf|tfvars|hcl|rego|tpl)$|(?:^|/)(?:helm|charts|kustomize|k8s|deploy|"
    r"config|terraform|ansible|manifests)/|(?:^|/)(?:Dockerfile|Procfile|\.env[.\w]*)$",
    re.IGNORECASE,
)
_PACKAGE_FILE = re.compile(
    r"(?:^|/)(?:package(?:-lock)?|tsconfig|composer)\.json$|(?:^|/)pnpm-lock\.yaml$|pyproject\.toml$"
)
_FLAG_FILE = re.compile(r"(?:feature[_-]?flags?|(?:^|/)flags?)[\w./-]*\.(?:ya?ml|json|toml)$", re.IGNORECASE)
# `2026-11-25 10:00:00 +0100` and `2026-11-25 10:00:00 UTC`.
_OF_GITLAB = re.compile(r"^(\S+) (\S+) (?:UTC|([+-]\d{2}):?(\d{2}))$")
_LONGEST_TITLE = 500


@dataclass(frozen=True, slots=True)
class Changes:
    """What a webhook tells: changes, or the name of an event that is none."""

    events: tuple[NewEvent, ...] = ()
    ignored: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change as a webhook tells of it, before it is cut to what can be stored."""

    kind: Kind
    title: str
    service: str
    at: object  # whatever the sender writes; None for now
    url: object = None
    environment: object = None
    revision: object = None
    repository: object = None
    commits: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    labels: Mapping[str, object] = field(default_factory=dict)


def opened(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.  Raises Unreadable, or Invalid when it is a list."""
    given = bodies.read_json(body)
    if isinstance(given, list):
        raise bodies.invalid({"body": "must be an object"})
    return cast(dict[str, Any], given)


def event(change: Change, *, sender: str, received_at: datetime) -> NewEvent:
    """The change as it is stored: long texts cut, odd ones left out, and of now when its time can't be read."""
    at, timed = _moment(change.at, received_at)
    labels = {"service": change.service, "environment": change.environment, **change.labels}
    details = {
        "sender": sender,
        "repository": text(change.repository),
        "revision": text(change.revision),
        "commits": [_commit(commit) for commit in change.commits[:MOST_COMMITS]],
    }
    url = text(change.url)
    return NewEvent(
        kind=change.kind,
        title=text(change.title)[:_LONGEST_TITLE] or "a change",
        labels={name: cut for name, value in labels.items() if (cut := text(value)[: LABEL_VALUE_BYTES // 4])},
        at=at,
        url=url if url.startswith(("http://", "https://")) else None,
        timed=timed,
        details={name: value for name, value in details.items() if value},
    )


def text(value: object) -> str:
    """A text that PostgreSQL can hold; of anything but a text or a number nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).replace("\x00", "").encode("utf-8", "replace").decode().strip()


def at(payload: Mapping[str, Any] | None, *path: str) -> Any:
    """What stands there in nested objects; None where one of them is missing or no object."""
    found: Any = payload
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def kind_of_files(files: Iterable[str]) -> Kind:
    """What a change of these files alone is."""
    names = list(files)
    if names and all(_FLAG_FILE.search(name) for name in names):
        return "feature_flag"
    if names and all(_CONFIG_FILE.search(name) and not _PACKAGE_FILE.search(name) for name in names):
        return "config"
    return "other"


def commits_of(payload: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The commits of a push, those that are objects."""
    commits = payload.get("commits")
    return [each for each in commits if isinstance(each, Mapping)] if isinstance(commits, list) else []


def files_of(commit: Mapping[str, Any]) -> list[str]:
    """Which files a commit of a push touches."""
    lists = (commit.get(name) for name in ("added", "modified", "removed"))
    return [text(name) for names in lists if isinstance(names, list) for name in names]


def first_line(message: object) -> str:
    """The subject of a commit's message."""
    return next(iter(text(message).splitlines()), "")


def short(revision: object) -> str:
    """A revision as people write it."""
    told = text(revision)
    return told[:7] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", told) else told


def _commit(commit: Mapping[str, Any]) -> dict[str, Any]:
    files = commit.get("files")
    return {
        "id": text(commit.get("id"))[:200],
        "message": text(commit.get("message"))[: MESSAGE_BYTES // 4],
        "files": [text(name)[:500] for name in files[:MOST_FILES]] if isinstance(files, list) else [],
    }


def _moment(told: object, received_at: datetime) -> tuple[datetime, bool]:
    """When it was, and whether the sender said so."""
    if told in (None, ""):
        return received_at, False
    try:
        found = times.parse(_OF_GITLAB.sub(_as_iso, told) if isinstance(told, str) else told)
    except times.BadTime:
        return received_at, False
    return found, True


def _as_iso(match: re.Match[str]) -> str:
    zone = f"{match[3]}:{match[4]}" if match[3] else "+00:00"
    return f"{match[1]}T{match[2]}{zone}"
