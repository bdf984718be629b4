"""Which changes does a webhook of GitLab tell of?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from web.schemas.hooks.common import (
    Change,
    Changes,
    at,
    commits_of,
    event,
    files_of,
    first_line,
    kind_of_files,
    opened,
    short,
    text,
)

_ENDS = {"success": "Deploy", "failed": "Failed deploy of"}


def read(body: bytes, received_at: datetime) -> Changes:
    """The changes of a webhook.  Raises Unreadable."""
    payload = opened(body)
    name = text(payload.get("object_kind"))
    make = _MAKERS.get(name)
    changes = [] if make is None else list(make(payload))
    if not changes:
        state = text(payload.get("status") or payload.get("action"))
        return Changes(ignored=f"{name or 'unknown'}{f'.{state}' if state else ''}")
    return Changes(tuple(event(change, sender="gitlab", received_at=received_at) for change in changes))


def _deployment(payload: Mapping[str, Any]) -> Iterator[Change]:
    state = text(payload.get("status"))
    if state not in _ENDS:
        return
    title = text(payload.get("commit_title"))
    what = f"{_ENDS[state]} {_project(payload)} {text(payload.get('ref')) or short(payload.get('short_sha'))}"
    yield Change(
        kind="deploy",
        title=f"{what} to {text(payload.get('environment'))}" + (f": {title}" if title else ""),
        service=_project(payload),
        at=payload.get("status_changed_at"),
        url=payload.get("deployable_url") or payload.get("commit_url"),
        environment=payload.get("environment"),
        revision=payload.get("short_sha"),
        repository=at(payload, "project", "path_with_namespace"),
        commits=[{"id": payload.get("short_sha"), "message": title}] if title else (),
    )


def _push(payload: Mapping[str, Any]) -> Iterator[Change]:
    branch = text(payload.get("ref")).removeprefix("refs/heads/")
    commits = commits_of(payload)
    if not commits or branch != text(at(payload, "project", "default_branch") or "main"):
        return
    told = [{"id": each.get("id"), "message": each.get("message"), "files": files_of(each)} for each in commits]
    newest = commits[-1]
    yield Change(
        kind=kind_of_files(name for each in commits for name in files_of(each)),
        title=f"Push to {_project(payload)} {branch}: {first_line(newest.get('title') or newest.get('message'))}",
        service=_project(payload),
        at=newest.get("timestamp"),
        url=newest.get("url"),
        revision=payload.get("after"),
        repository=at(payload, "project", "path_with_namespace"),
        commits=told,
    )


def _release(payload: Mapping[str, Any]) -> Iterator[Change]:
    if payload.get("action") != "create":
        return
    yield Change(
        kind="deploy",
        title=f"Release {_project(payload)} {text(payload.get('tag'))}",
        service=_project(payload),
        at=payload.get("released_at") or payload.get("created_at"),
        url=payload.get("url"),
        revision=at(payload, "commit", "id"),
        repository=at(payload, "project", "path_with_namespace"),
        commits=[{"id": at(payload, "commit", "id"), "message": at(payload, "commit", "message")}],
    )


def _feature_flag(payload: Mapping[str, Any]) -> Iterator[Change]:
    flag = at(payload, "object_attributes")
    name = text(at(flag, "name"))
    if not name:
        return
    turned = "on" if at(flag, "active") is True else "off"
    yield Change(
        kind="feature_flag",
        title=f"Feature flag {name} of {_project(payload)} turned {turned}",
        service=_project(payload),
        at=None,
        url=at(payload, "project", "web_url"),
        repository=at(payload, "project", "path_with_namespace"),
        labels={"feature_flag": name},
        commits=[{"id": name, "message": at(flag, "description")}],
    )


def _project(payload: Mapping[str, Any]) -> str:
    # The name is for people and may hold blanks; the last part of the path is what services are called by.
    path = text(at(payload, "project", "path_with_namespace"))
    return path.rpartition("/")[2] or text(at(payload, "project", "name"))


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Iterator[Change]]] = {
    "deployment": _deployment,
    "push": _push,
    "release": _release,
    "feature_flag": _feature_flag,
}
