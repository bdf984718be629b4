"""Which changes does a notification of Argo CD tell of?

Its body is what the user's template makes of it. Understood are the whole application (`{"app": {{toJson .app}}}`), and
the flat form that the README shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from web.schemas.hooks.common import Change, Changes, at, event, opened, short, text

_ENDS = {"succeeded": "Sync", "failed": "Failed sync of", "error": "Failed sync of"}


def read(body: bytes, received_at: datetime) -> Changes:
    """The changes of a notification.  Raises Unreadable."""
    payload = opened(body)
    app = next((payload[name] for name in ("app", "application") if isinstance(payload.get(name), Mapping)), None)
    changes = list(_of_application(app) if app is not None else _flat(payload))
    if not changes:
        phase = at(app, "status", "operationState", "phase") if app is not None else payload.get("phase")
        return Changes(ignored=f"sync.{text(phase).lower()}" if phase else "unknown")
    return Changes(tuple(event(change, sender="argocd", received_at=received_at) for change in changes))


def _of_application(app: Mapping[str, Any]) -> Iterator[Change]:
    operation = at(app, "status", "operationState")
    source = at(app, "spec", "source") or _first(at(app, "spec", "sources"))
    yield from _change(
        name=at(app, "metadata", "name"),
        phase=at(operation, "phase"),
        revision=at(operation, "syncResult", "revision") or at(app, "status", "sync", "revision"),
        finished_at=at(operation, "finishedAt"),
        repository=at(source, "repoURL"),
        namespace=at(app, "spec", "destination", "namespace"),
        images=at(app, "status", "summary", "images"),
        message=at(operation, "message"),
        url=_first(at(app, "status", "summary", "externalURLs")),
    )


def _flat(payload: Mapping[str, Any]) -> Iterator[Change]:
    yield from _change(
        name=payload.get("app") or payload.get("application"),
        phase=payload.get("phase"),
        revision=payload.get("revision"),
        finished_at=payload.get("finished_at"),
        repository=payload.get("repository") or payload.get("repo_url"),
        namespace=payload.get("namespace"),
        images=payload.get("images"),
        message=payload.get("message"),
        url=payload.get("url"),
    )


def _change(
    *,
    name: object,
    phase: object,
    revision: object,
    finished_at: object,
    repository: object,
    namespace: object,
    images: object,
    message: object,
    url: object,
) -> Iterator[Change]:
    how = _ENDS.get(text(phase).lower())
    if how is None or not text(name):
        return
    told = ", ".join(text(image).rpartition("/")[2] for image in images[:5]) if isinstance(images, list) else ""
    yield Change(
        kind="deploy",
        title=f"{how} {text(name)} {short(revision)}" + (f": {told}" if told else ""),
        service=text(name),
        at=finished_at,
        url=url,
        revision=revision,
        repository=repository,
        labels={"namespace": namespace},
        commits=[{"id": revision, "message": message}] if text(message) else (),
    )


def _first(values: object) -> Any:
    return values[0] if isinstance(values, list) and values else None
