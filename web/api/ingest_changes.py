"""Takes the webhooks of GitHub, GitLab and Argo CD, as far as they tell of changes."""

from __future__ import annotations

from flask import Response, request
from flask_smorest import Blueprint

from db.queries import events, outbox
from sensus import audit, metrics, times
from sensus.errors import Unauthenticated
from web import answers, bodies, credentials
from web.access import access, caller
from web.credentials import Caller
from web.openapi import raw_doc
from web.request_context import request_id
from web.resources import resources
from web.schemas.hooks import argocd, github, gitlab
from web.schemas.hooks.common import Changes
from web.schemas.receipts import ChangesReceipt

blueprint = Blueprint("ingest-changes", __name__, url_prefix="/api/v1", description="Changes come in by webhook")

_TOLD = "Stored, or ignored by the name of an event that is no change"


def by_signature() -> Caller | None:
    """GitHub, by the signature of its body; None when there is none.  Raises Unauthenticated."""
    signature = request.headers.get("X-Hub-Signature-256")
    if signature is None:
        return None
    settings = resources().settings
    if settings.github_secret is None:
        raise Unauthenticated("the body is signed, but SENSUS_GITHUB_SECRET is not set")
    if not github.is_signed(bodies.whole(request), signature, settings.github_secret.get_secret_value()):
        raise Unauthenticated("the signature is not that of SENSUS_GITHUB_SECRET")
    return Caller("github", "key", "webhook:github", frozenset({"write"}), settings.rate_limit_keys)


def by_token() -> Caller | None:
    """GitLab, whose secret token is an API key; None when there is none.  Raises Unauthenticated."""
    token = request.headers.get("X-Gitlab-Token")
    return None if token is None else credentials.known().caller(f"Bearer {token}")


@blueprint.post("/events/github")
@access("write", proof=by_signature)
@blueprint.doc(**raw_doc("A webhook of GitHub", {"application/json": "As GitHub sends it"}, 202, _TOLD))
def from_github() -> Response:
    """Deployments, releases, pushes to the default branch, and workflows that deploy.

    Proved by `X-Hub-Signature-256` with SENSUS_GITHUB_SECRET, or by an API key.
    """
    with metrics.timed(metrics.processing_duration.labels("events")):
        name = request.headers.get("X-GitHub-Event", "")
        return _store(github.read(bodies.read_json_bytes(), name, times.now()))


@blueprint.post("/events/gitlab")
@access("write", proof=by_token)
@blueprint.doc(**raw_doc("A webhook of GitLab", {"application/json": "As GitLab sends it"}, 202, _TOLD))
def from_gitlab() -> Response:
    """Deployments, releases, pushes to the default branch, and feature flags; the secret token is an API key."""
    with metrics.timed(metrics.processing_duration.labels("events")):
        return _store(gitlab.read(bodies.read_json_bytes(), times.now()))


@blueprint.post("/events/argocd")
@access("write")
@blueprint.doc(**raw_doc("A notification of Argo CD", {"application/json": "By the user's template"}, 202, _TOLD))
def from_argocd() -> Response:
    """Ends of syncs, by the webhook service of Argo CD's notifications with an API key."""
    with metrics.timed(metrics.processing_duration.labels("events")):
        return _store(argocd.read(bodies.read_json_bytes(), times.now()))


def _store(changes: Changes) -> Response:
    actor = caller().identity
    with resources().database.transaction() as session:
        stored = [events.store(session, event, actor=actor) for event in changes.events]
        for event, (event_id, is_new) in zip(changes.events, stored, strict=True):
            outbox.add(
                session,
                outbox.NewEntry(
                    stream=audit.RAW,
                    type="event",
                    facts={"event_id": event_id, "kind": event.kind, "duplicate": not is_new},
                    request_id=request_id(),
                    actor=actor,
                ),
            )
    if stored:
        resources().background.relay()
    for event in changes.events:
        metrics.events_received.labels(event.kind).inc()
    receipt = ChangesReceipt(
        accepted=len(stored),
        duplicates=sum(not is_new for _, is_new in stored),
        event_ids=[event_id for event_id, _ in stored],
        ignored=changes.ignored,
        request_id=request_id(),
    )
    return answers.accepted(receipt)
