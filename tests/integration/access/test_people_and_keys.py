"""Log-ins, people, keys and the record of it all, over HTTP and on the command line."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from sensus.settings import Settings
from tests.waiting import wait_for
from web import identity


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def ada(session: Session) -> tuple[str, str]:
    """A person with every scope; name and password."""
    identity.make_user(session, "ada", "correct horse", ["read", "write", "admin"], actor="a test", request_id="t")
    return "ada", "correct horse"


@pytest.fixture
def admin(app: Flask, client: FlaskClient, ada: tuple[str, str]) -> FlaskClient:
    token = client.post("/api/v1/auth/token", headers=basic(*ada)).json["access_token"]
    logged_in = app.test_client()
    logged_in.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return logged_in


def test_a_password_gives_a_token_by_basic(client: FlaskClient, ada: tuple[str, str]) -> None:
    answer = client.post("/api/v1/auth/token", headers=basic(*ada))
    assert answer.status_code == 200, answer.json
    assert answer.json.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 1800)
    assert answer.json["scope"] == "read write admin"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_password_gives_a_narrower_token_by_client_credentials(client: FlaskClient, ada: tuple[str, str]) -> None:
    form = {"grant_type": "client_credentials", "client_id": ada[0], "client_secret": ada[1], "scope": "read"}
    answer = client.post("/api/v1/auth/token", data=form)
    assert answer.json["scope"] == "read"
    me = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {answer.json['access_token']}"})
    assert (me.json["name"], me.json["kind"], me.json["scopes"]) == ("ada", "user", ["read"])
    assert me.json["expires_at"].endswith("Z")


def test_a_sender_that_knows_only_oauth_sends_its_key_as_the_secret(
    client: FlaskClient, key: Callable[..., str]
) -> None:
    form = {"grant_type": "client_credentials", "client_id": "alertmanager", "client_secret": key("write")}
    answer = client.post("/api/v1/auth/token", data=form)
    assert answer.status_code == 200, answer.json
    me = client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {answer.json['access_token']}"})
    assert (me.json["kind"], me.json["scopes"]) == ("key", ["write"])


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "client_id": "ada", "client_secret": "correct horse"}, 400),
        ({"client_id": "ada", "client_secret": "correct horse", "scope": "root"}, 422),
        ({"client_id": "ada", "client_secret": "wrong"}, 401),
        ({"client_id": "bob", "client_secret": "correct horse"}, 401),
        ({"client_id": "a\0b", "client_secret": "x"}, 401),
        ({}, 401),
    ],
)
def test_what_is_not_right_gives_no_token(
    client: FlaskClient, ada: tuple[str, str], form: dict[str, str], status: int
) -> None:
    assert client.post("/api/v1/auth/token", data=form).status_code == status


def test_a_key_is_shown_once_and_opens_what_it_should(admin: FlaskClient, client: FlaskClient) -> None:
    made = admin.post("/api/v1/keys", json={"name": "prometheus", "scopes": ["read"]})
    assert made.status_code == 201, made.json
    assert made.json["rate"] == 1_000_000  # the setting of this test's application
    secret = made.json["key"]
    assert client.get("/api/v1/alerts", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    listed = admin.get("/api/v1/keys").json["items"]
    assert secret not in json.dumps(listed)
    assert listed[0]["name"] == "prometheus"
    assert admin.delete(f"/api/v1/keys/{made.json['id']}").status_code == 204
    assert admin.delete(f"/api/v1/keys/{made.json['id']}").status_code == 404
    assert admin.get("/api/v1/keys").json["items"][0]["revoked_at"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x\0", "scopes": ["read"]},
        {"name": "x", "scopes": ["read"], "rate": 0},
        {"name": "x", "scopes": ["read"], "rates": 5},
    ],
)
def test_a_key_that_makes_no_sense_is_422(admin: FlaskClient, body: dict[str, object]) -> None:
    answer = admin.post("/api/v1/keys", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_people_are_made_listed_by_pages_and_removed(admin: FlaskClient, client: FlaskClient) -> None:
    for name in ("bob", "eve"):
        body = {"name": name, "password": "long enough", "scopes": ["read"]}
        assert admin.post("/api/v1/users", json=body).status_code == 201
        assert admin.post("/api/v1/users", json=body).status_code == 409
    first = admin.get("/api/v1/users?limit=2").json
    second = admin.get(f"/api/v1/users?limit=2&cursor={first['next_cursor']}").json
    assert [user["name"] for user in first["items"] + second["items"]] == ["ada", "bob", "eve"]
    assert second["next_cursor"] is None
    assert "password" not in json.dumps(first)
    assert admin.delete("/api/v1/users/eve").status_code == 204
    assert admin.delete("/api/v1/users/eve").status_code == 404
    assert admin.delete("/api/v1/users/ada").status_code == 409


def test_a_password_is_changed_by_oneself_with_the_old_one_or_by_an_admin(
    admin: FlaskClient, client: FlaskClient
) -> None:
    admin.post("/api/v1/users", json={"name": "bob", "password": "long enough", "scopes": ["read"]})
    token = client.post("/api/v1/auth/token", headers=basic("bob", "long enough")).json["access_token"]
    bob = {"Authorization": f"Bearer {token}"}
    path = "/api/v1/users/bob/password"
    assert client.put(path, json={"password": "new password"}, headers=bob).status_code == 401
    other = client.put("/api/v1/users/ada/password", json={"password": "new password"}, headers=bob)
    assert other.status_code == 403
    changed = client.put(path, json={"password": "new password", "old_password": "long enough"}, headers=bob)
    assert changed.status_code == 204
    assert client.post("/api/v1/auth/token", headers=basic("bob", "long enough")).status_code == 401
    assert client.post("/api/v1/auth/token", headers=basic("bob", "new password")).status_code == 200
    assert admin.put(path, json={"password": "third password"}).status_code == 204
    assert client.post("/api/v1/auth/token", headers=basic("bob", "third password")).status_code == 200


def test_every_act_is_in_the_audit(admin: FlaskClient, client: FlaskClient) -> None:
    client.post("/api/v1/auth/token", headers=basic("ada", "wrong"))
    key_id = admin.post("/api/v1/keys", json={"name": "k", "scopes": ["read"]}).json["id"]
    admin.delete(f"/api/v1/keys/{key_id}")
    records = admin.get("/api/v1/audit").json["items"]
    told = [(record["action"], record["actor"], record["succeeded"]) for record in records]
    assert told[:4] == [
        ("key_revoked", "user:ada", True),
        ("key_created", "user:ada", True),
        ("log_in", "user:ada", False),
        ("log_in", "user:ada", True),
    ]
    assert records[0]["subject"] == f"key:{key_id}"
    assert records[0]["client_address"] == "127.0.0.1"
    only = admin.get("/api/v1/audit?action=log_in&limit=1").json
    assert len(only["items"]) == 1
    rest = admin.get(f"/api/v1/audit?action=log_in&limit=1&cursor={only['next_cursor']}").json
    assert rest["next_cursor"] is None


def test_without_scope_admin_nobody_sees_keys_people_or_audit(as_key) -> None:
    for path in ("/api/v1/keys", "/api/v1/users", "/api/v1/audit"):
        assert as_key("read", "write").get(path).status_code == 403


def test_first_access_is_made_once(session: Session, settings: Settings) -> None:
    given = settings.model_copy(
        update={
            "admin_password": type(settings.jwt_secret)("first password"),
            "source_key": type(settings.jwt_secret)("sns_given"),
        }
    )
    for _ in range(2):
        identity.ensure_first_access(session, given, request_id="t")
    from db.queries import access as rows

    assert [user.name for user in rows.users(session, limit=9)] == ["admin"]
    assert [(key.name, key.scopes) for key in rows.keys(session, limit=9)] == [("source", ["read", "write"])]


def sensus(settings: Settings, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "SENSUS_DATABASE_URL": settings.database_url.get_secret_value(),
        "SENSUS_REDIS_URL": settings.redis_url.get_secret_value(),
        "SENSUS_JWT_SECRET": settings.jwt_secret.get_secret_value(),
    }
    command = [sys.executable, "-m", "sensus.cli", *words]
    return subprocess.run(command, env=env, input=given, capture_output=True, text=True, check=False)


def test_people_and_keys_are_made_on_the_command_line(settings: Settings, client: FlaskClient) -> None:
    made = sensus(settings, "user", "create", "eve", "--scope", "read", "--password-stdin", given="from a pipe\n")
    assert made.returncode == 0, made.stderr
    assert client.post("/api/v1/auth/token", headers=basic("eve", "from a pipe")).status_code == 200
    again = sensus(settings, "user", "create", "eve", "--scope", "read", "--password-stdin", given="from a pipe\n")
    assert (again.returncode, again.stderr) == (1, "sensus: there is a user eve already\n")
    assert "eve" in sensus(settings, "user", "list").stdout
    token = sensus(settings, "token", "eve").stdout.strip()
    assert client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"}).json["name"] == "eve"
    changed = sensus(settings, "user", "passwd", "eve", "--password-stdin", given="another one\n")
    assert changed.returncode == 0
    assert client.post("/api/v1/auth/token", headers=basic("eve", "another one")).status_code == 200
    key = sensus(settings, "key", "create", "ci", "--scope", "read", "--rate", "none").stdout.split()
    assert client.get("/api/v1/alerts", headers={"Authorization": f"Bearer {key[3]}"}).status_code == 200
    assert "no limit" in sensus(settings, "key", "list").stdout
    assert sensus(settings, "key", "revoke", key[1]).returncode == 0
    assert sensus(settings, "user", "delete", "eve").returncode == 0
    assert sensus(settings, "key", "create", "ci", "--scope", "read", "--rate", "0").returncode == 2


@pytest.mark.parametrize("path", ["/api/v1/users/a%00b", "/api/v1/users/%00/password"])
def test_a_name_that_nothing_can_have_is_404(admin: FlaskClient, path: str) -> None:
    answer = admin.put(path, json={"password": "long enough"}) if "password" in path else admin.delete(path)
    assert answer.status_code == 404


@pytest.mark.parametrize("key", ['["a\\u0000b"]', '["\\ud800"]', "[1]", "[]", "{}", '["a", "b"]'])
def test_a_cursor_that_is_none_of_ours_is_422(admin: FlaskClient, key: str) -> None:
    cursor = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    assert admin.get(f"/api/v1/users?cursor={cursor}").status_code == 422


def test_the_command_line_refuses_a_name_that_basic_cannot_carry(settings: Settings) -> None:
    made = sensus(settings, "user", "create", "a:b", "--scope", "read", "--password-stdin", given="long enough\n")
    assert made.returncode == 1
    assert "begins with a letter or digit" in made.stderr


def test_the_audit_stream_is_read_on_the_command_line(settings: Settings, admin: FlaskClient, redis_client) -> None:
    wait_for(lambda: redis_client.xlen("audit:access") >= 2, timeout_s=10, what="the audit stream")
    shown = sensus(settings, "audit", "tail", "--count", "1")
    assert shown.returncode == 0, shown.stderr
    entry = json.loads(shown.stdout)
    assert (entry["type"], entry["actor"]) == ("log_in", "user:ada")
    assert entry["data"]["succeeded"] is True
