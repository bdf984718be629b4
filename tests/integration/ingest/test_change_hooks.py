"""Webhooks of GitHub, GitLab and Argo CD become change events; what is no change is named and let go."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import ChangeEvent
from sensus import times
from sensus.errors import Invalid, Unreadable
from sensus.settings import Settings
from tests.conftest import MakeKey
from web.schemas.hooks import argocd, github, gitlab

HOOKS = Path(__file__).parents[2] / "data" / "hooks"
SECRET = "a secret of the webhook"
SHA = "8f3c1d2e4b5a69788796a5b4c3d2e1f00f1e2d3c"


@pytest.fixture
def settings_of_app(settings: Settings) -> Settings:
    return settings.model_copy(update={"github_secret": SecretStr(SECRET)})


@pytest.fixture
def app(settings_of_app: Settings) -> Any:
    from web.app import create_app
    from web.resources import resources

    made = create_app(settings_of_app)
    yield made
    with made.app_context():
        resources().close()


def payload(name: str) -> bytes:
    return (HOOKS / f"{name}.json").read_bytes()


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def from_github(client: FlaskClient, name: str, *, signature: str | None = None, event: str | None = None) -> Any:
    body = payload(name)
    return client.post(
        "/api/v1/events/github",
        data=body,
        content_type="application/json",
        headers={
            "X-GitHub-Event": event or name.split("-")[1],
            "X-Hub-Signature-256": signed(body) if signature is None else signature,
        },
    )


def stored(session: Session) -> ChangeEvent:
    return session.scalars(select(ChangeEvent)).one()


def test_a_deployment_of_github_is_a_deploy_with_what_it_brought(client: FlaskClient, session: Session) -> None:
    answer = from_github(client, "github-deployment_status-success")
    assert answer.status_code == 202, answer.text
    row = stored(session)
    assert answer.get_json() == {
        "accepted": 1,
        "duplicates": 0,
        "event_ids": [row.id],
        "ignored": None,
        "request_id": answer.headers["X-Request-ID"],
    }
    assert (row.kind, row.title) == ("deploy", "Deploy checkout v4.12.0 to production")
    assert row.labels == {"service": "checkout", "environment": "production"}
    assert times.isoformat(row.at) == "2026-11-24T09:12:44Z"
    assert row.url == "https://github.com/acme/checkout/actions/runs/5500"
    assert row.actor == "webhook:github"
    assert row.details["revision"] == SHA
    assert row.details["commits"][0]["message"] == "Lower the pool of orders-db connections to 4"
    again = from_github(client, "github-deployment_status-success")
    assert (again.get_json()["duplicates"], again.get_json()["event_ids"]) == (1, [row.id])


@pytest.mark.parametrize(
    ("name", "kind", "title"),
    [
        (
            "github-push-config",
            "config",
            "Push to checkout main: Lower the pool of orders-db connections to 4",
        ),
        ("github-release-published", "deploy", "Release checkout v4.12.0"),
        (
            "github-workflow_run-deploy",
            "deploy",
            "Deploy to production of checkout 8f3c1d2: Lower the pool of orders-db connections to 4",
        ),
    ],
)
def test_what_else_github_tells_of_changes(
    client: FlaskClient, session: Session, name: str, kind: str, title: str
) -> None:
    assert from_github(client, name).status_code == 202
    row = stored(session)
    assert (row.kind, row.title, row.labels["service"]) == (kind, title, "checkout")
    assert row.details["commits"]


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("github-ping", "ping"),
        ("github-deployment_status-in_progress", "deployment_status.created"),
        ("github-push-branch", "push"),
        ("github-workflow_run-tests", "workflow_run.completed"),
    ],
)
def test_what_is_no_change_is_named_and_let_go(client: FlaskClient, session: Session, name: str, ignored: str) -> None:
    answer = from_github(client, name)
    assert answer.status_code == 202
    assert (answer.get_json()["accepted"], answer.get_json()["ignored"]) == (0, ignored)
    assert session.scalars(select(ChangeEvent)).all() == []


@pytest.mark.parametrize("signature", ["sha256=00", "", "sha1=abc", signed(b"another body"), signed(b"", "guess")])
def test_a_body_that_is_not_signed_with_the_secret_is_refused(client: FlaskClient, signature: str) -> None:
    assert from_github(client, "github-ping", signature=signature).status_code == 401


def test_a_signature_without_a_secret_says_what_to_set(settings: Settings, session: Session) -> None:
    from web.app import create_app
    from web.resources import resources

    made = create_app(settings)
    try:
        answer = from_github(made.test_client(), "github-ping")
        assert answer.status_code == 401
        assert "SENSUS_GITHUB_SECRET" in answer.get_json()["message"]
    finally:
        with made.app_context():
            resources().close()


def test_github_may_send_an_api_key_instead(as_key: Callable[..., FlaskClient]) -> None:
    body = payload("github-ping")
    sent = {"data": body, "content_type": "application/json", "headers": {"X-GitHub-Event": "ping"}}
    assert as_key("write").post("/api/v1/events/github", **sent).status_code == 202
    assert as_key("read").post("/api/v1/events/github", **sent).status_code == 403


@pytest.mark.parametrize(
    ("name", "kind", "title", "at"),
    [
        (
            "gitlab-deployment-success",
            "deploy",
            "Deploy orders main to production: Cache prices for an hour",
            "2026-11-24T09:28:05Z",
        ),
        (
            "gitlab-push",
            "other",
            "Push to orders main: Wait 300 ms for the catalogue, not 5 s",
            "2026-11-24T09:12:00Z",
        ),
        ("gitlab-feature_flag", "feature_flag", "Feature flag prices-from-cache of orders turned on", None),
        ("gitlab-release-create", "deploy", "Release orders v1.1", "2026-11-24T09:40:12Z"),
    ],
)
def test_gitlab_proves_itself_by_its_token(
    client: FlaskClient, key: MakeKey, session: Session, name: str, kind: str, title: str, at: str | None
) -> None:
    answer = client.post(
        "/api/v1/events/gitlab",
        data=payload(name),
        content_type="application/json",
        headers={"X-Gitlab-Token": key("write"), "X-Gitlab-Event": "whatever"},
    )
    assert answer.status_code == 202, answer.text
    row = stored(session)
    assert (row.kind, row.title, row.labels["service"]) == (kind, title, "orders")
    assert at is None or times.isoformat(row.at) == at


def test_gitlab_with_a_wrong_token_is_refused_and_other_events_are_named(client: FlaskClient, key: MakeKey) -> None:
    def post(name: str, token: str) -> Any:
        return client.post(
            "/api/v1/events/gitlab",
            data=payload(name),
            content_type="application/json",
            headers={"X-Gitlab-Token": token},
        )

    assert post("gitlab-push", "sns_guess").status_code == 401
    assert post("gitlab-push", key("read")).status_code == 403
    assert post("gitlab-pipeline", key("write")).get_json()["ignored"] == "pipeline"
    assert post("gitlab-deployment-running", key("write")).get_json()["ignored"] == "deployment.running"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("argocd-application", "Sync payments 53e28ff: payments:2.8.1, envoy:1.31"),
        ("argocd-flat", "Failed sync of payments 53e28ff: payments:2.8.1"),
    ],
)
def test_the_end_of_a_sync_of_argo_cd_is_a_deploy(writer: FlaskClient, session: Session, name: str, title: str) -> None:
    answer = writer.post("/api/v1/events/argocd", data=payload(name), content_type="application/json")
    assert answer.status_code == 202, answer.text
    row = stored(session)
    assert (row.kind, row.title) == ("deploy", title)
    assert row.labels == {"service": "payments", "namespace": "pay"}


def test_a_sync_that_goes_on_is_no_change_yet(writer: FlaskClient) -> None:
    answer = writer.post("/api/v1/events/argocd", data=payload("argocd-running"), content_type="application/json")
    assert answer.get_json()["ignored"] == "sync.running"


@pytest.mark.parametrize("path", ["github", "gitlab", "argocd"])
@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 422), (b"", 400), (b'{"a": 1e999}', 400)])
def test_what_is_no_object_is_refused(writer: FlaskClient, path: str, body: bytes, status: int) -> None:
    answer = writer.post(f"/api/v1/events/{path}", data=body, content_type="application/json")
    assert answer.status_code == status, answer.text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _spoilt(document: Any, draw: st.DrawFn) -> Any:
    """The document with one of its values replaced by anything."""
    if isinstance(document, dict) and document:
        name = draw(st.sampled_from(sorted(document)))
        spoil = draw(st.booleans())
        return {**document, name: draw(anything) if spoil else _spoilt(document[name], draw)}
    if isinstance(document, list) and document:
        return [_spoilt(document[0], draw), *document[1:]]
    return draw(anything)


@st.composite
def spoilt_hooks(draw: st.DrawFn) -> tuple[str, bytes]:
    path = draw(st.sampled_from(sorted(HOOKS.glob("*.json"))))
    document = json.loads(path.read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        document = _spoilt(document, draw)
    return path.stem, json.dumps(document if isinstance(document, dict) else {"app": document}).encode()


@settings(max_examples=300, deadline=None)
@given(spoilt_hooks())
def test_a_hook_of_another_shape_never_breaks_anything(hook: tuple[str, bytes]) -> None:
    name, body = hook
    now = times.now()
    sender, _, event = name.partition("-")
    try:
        changes = {
            "github": lambda: github.read(body, event.partition("-")[0], now),
            "gitlab": lambda: gitlab.read(body, now),
            "argocd": lambda: argocd.read(body, now),
        }[sender]()
    except (Invalid, Unreadable):
        return
    assert bool(changes.events) != bool(changes.ignored)
    for change in changes.events:
        assert change.title
        assert "\x00" not in json.dumps(dict(change.labels)) + change.title
        assert all(isinstance(value, str) for value in change.labels.values())


def test_an_event_may_say_what_it_contains(writer: FlaskClient, session: Session, app: Flask) -> None:
    commit = {"id": SHA, "message": "Wait 300 ms", "files": ["client.go"], "diff": "-5s\n+300ms"}
    event = {"kind": "deploy", "title": "x", "commits": [commit]}
    assert writer.post("/api/v1/events", json=event).status_code == 202
    assert stored(session).details == {"commits": [commit]}
    bad = writer.post("/api/v1/events", json={**event, "commits": [{"message": "no id"}]})
    assert list(bad.get_json()["errors"]) == ["commits.0.id"]
