"""Which changes does a webhook of GitHub tell of?"""

from __future__ import annotations

import hashlib
import hmac
import re
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

# Of a deployment these are its ends; that it is queued or under way changes nothing yet.
_ENDS = {"success": "Deploy", "failure": "Failed deploy of", "error": "Failed deploy of"}
_DEPLOYS = re.compile(r"\b(?:deploy\w*|release|rollout|promote|ship)\b", re.IGNORECASE)


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether `X-Hub-Signature-256` is that of a sender who knows the secret."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.strip().encode())


def read(body: bytes, name: str, received_at: datetime) -> Changes:
    """The changes of a webhook whose `X-GitHub-Event` is this.  Raises Unreadable."""
    payload = opened(body)
    make = _MAKERS.get(name)
    changes = [] if make is None else list(make(payload))
    if not changes:
        action = text(payload.get("action") or at(payload, "deployment_status", "state"))
        return Changes(ignored=f"{text(name) or 'unknown'}{f'.{action}' if action else ''}")
    return Changes(tuple(event(change, sender="github", received_at=received_at) for change in changes))


def _deployment_status(payload: Mapping[str, Any]) -> Iterator[Change]:
    status, deployment = at(payload, "deployment_status"), at(payload, "deployment")
    state = text(at(status, "state"))
    if state not in _ENDS:
        return
    ref, sha = text(at(deployment, "ref")), text(at(deployment, "sha"))
    environment = at(status, "environment") or at(deployment, "environment")
    # A tool that deploys several services from one repository names them in the payload that it gave.
    service = text(at(deployment, "payload", "service")) or _repository(payload)
    told = text(at(deployment, "description") or at(status, "description"))
    title = f"{_ENDS[state]} {service} {ref if ref and ref != sha else short(sha)} to {text(environment)}"
    yield Change(
        kind="deploy",
        title=f"{title}: {told}" if told else title,
        service=service,
        at=at(status, "created_at") or at(deployment, "updated_at"),
        url=at(status, "target_url") or at(status, "log_url"),
        environment=environment,
        revision=sha,
        repository=at(payload, "repository", "full_name"),
        commits=_head(at(payload, "workflow_run", "head_commit")),
    )


def _release(payload: Mapping[str, Any]) -> Iterator[Change]:
    release = at(payload, "release")
    if payload.get("action") != "published":
        return
    notes = text(at(release, "body"))
    yield Change(
        kind="deploy",
        title=f"Release {_repository(payload)} {text(at(release, 'tag_name'))}",
        service=_repository(payload),
        at=at(release, "published_at"),
        url=at(release, "html_url"),
        revision=at(release, "target_commitish"),
        repository=at(payload, "repository", "full_name"),
        commits=[{"id": text(at(release, "tag_name")), "message": notes}] if notes else (),
    )


def _push(payload: Mapping[str, Any]) -> Iterator[Change]:
    branch = text(payload.get("ref")).removeprefix("refs/heads/")
    commits = commits_of(payload)
    # Work on other branches runs nowhere yet.
    if not commits or branch != text(at(payload, "repository", "default_branch") or "main"):
        return
    told = [{"id": each.get("id"), "message": each.get("message"), "files": files_of(each)} for each in commits]
    newest = at(payload, "head_commit") or commits[-1]
    yield Change(
        kind=kind_of_files(name for each in commits for name in files_of(each)),
        title=f"Push to {_repository(payload)} {branch}: {first_line(at(newest, 'message'))}",
        service=_repository(payload),
        at=at(newest, "timestamp"),
        url=payload.get("compare") or at(newest, "url"),
        revision=payload.get("after"),
        repository=at(payload, "repository", "full_name"),
        commits=told,
    )


def _workflow_run(payload: Mapping[str, Any]) -> Iterator[Change]:
    run = at(payload, "workflow_run")
    name = text(at(run, "name"))
    if payload.get("action") != "completed" or at(run, "conclusion") != "success" or not _DEPLOYS.search(name):
        return
    yield Change(
        kind="deploy",
        title=f"{name} of {_repository(payload)} {short(at(run, 'head_sha'))}: {text(at(run, 'display_title'))}",
        service=_repository(payload),
        at=at(run, "updated_at"),
        url=at(run, "html_url"),
        revision=at(run, "head_sha"),
        repository=at(payload, "repository", "full_name"),
        commits=_head(at(run, "head_commit")),
    )


def _head(commit: Any) -> list[dict[str, Any]]:
    return [{"id": at(commit, "id"), "message": at(commit, "message")}] if isinstance(commit, Mapping) else []


def _repository(payload: Mapping[str, Any]) -> str:
    return text(at(payload, "repository", "name"))


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Iterator[Change]]] = {
    "deployment_status": _deployment_status,
    "release": _release,
    "push": _push,
    "workflow_run": _workflow_run,
}
