"""Every way of proving who one is, and what happens without."""

from __future__ import annotations

import base64
import time
from datetime import timedelta

import jwt
import pytest
from flask import Flask
from sqlalchemy.orm import Session

from db.queries import access as access_rows
from sensus.settings import Settings
from tests.conftest import MakeKey
from tests.waiting import wait_for
from web import credentials, limits


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def token(guarded: Flask, session: Session) -> str:
    ada = access_rows.add_user(session, "ada", "no hash", ["read"])
    with guarded.app_context():
        return credentials.token(ada, frozenset({"read"}))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "ApiKey", "Key"])
def test_an_api_key_is_known_under_any_scheme(guarded: Flask, key: MakeKey, scheme: str) -> None:
    answer = guarded.test_client().get("/probe/read", headers={"Authorization": f"{scheme} {key('read')}"})
    assert answer.status_code == 200
    assert answer.json["identity"].startswith("key:")


def test_an_api_key_may_be_the_password_of_basic(guarded: Flask, key: MakeKey) -> None:
    assert guarded.test_client().get("/probe/read", headers=basic("alertmanager", key("read"))).status_code == 200


def test_a_token_names_its_user(guarded: Flask, token: str) -> None:
    answer = guarded.test_client().get("/probe/read", headers=bearer(token))
    assert answer.json == {"identity": "user:ada"}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer nonsense", "Bearer a.b.c", "Basic !!", "Basic YQ==", "Bearer \u00fc"],
)
def test_without_a_proof_it_is_401_in_the_one_shape(guarded: Flask, header: str) -> None:
    answer = guarded.test_client().get("/probe/read", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json["code"] == 401
    assert answer.json["request_id"]
    assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_a_tampered_token_does_not_hold(guarded: Flask, token: str, few: Settings) -> None:
    claims = jwt.decode(token, few.require_jwt_secret(), algorithms=["HS256"])
    forged = [
        jwt.encode({**claims, "scopes": ["admin"]}, "another secret of at least 32 characters", algorithm="HS256"),
        jwt.encode({**claims, "scopes": ["admin"]}, "", algorithm="none"),
        token[:-4] + "AAAA",
    ]
    client = guarded.test_client()
    assert [client.get("/probe/read", headers=bearer(each)).status_code for each in forged] == [401, 401, 401]


def test_an_expired_token_says_so(guarded: Flask, token: str, few: Settings) -> None:
    claims = jwt.decode(token, few.require_jwt_secret(), algorithms=["HS256"])
    late = jwt.encode({**claims, "exp": int(time.time()) - 1}, few.require_jwt_secret(), algorithm="HS256")
    answer = guarded.test_client().get("/probe/read", headers=bearer(late))
    assert answer.status_code == 401
    assert "expired" in answer.json["message"]


def test_a_new_password_ends_the_tokens_of_the_old_one(guarded: Flask, token: str, session: Session) -> None:
    access_rows.set_password(session, "ada", "another hash")
    assert guarded.test_client().get("/probe/read", headers=bearer(token)).status_code == 401


def test_a_token_of_a_user_who_is_gone_does_not_hold(guarded: Flask, token: str, session: Session) -> None:
    access_rows.delete_user(session, "ada")
    assert guarded.test_client().get("/probe/read", headers=bearer(token)).status_code == 401


def test_a_token_is_of_a_user_and_not_of_a_name(guarded: Flask, token: str, session: Session) -> None:
    access_rows.delete_user(session, "ada")
    access_rows.add_user(session, "ada", "hash", ["read"])
    assert guarded.test_client().get("/probe/read", headers=bearer(token)).status_code == 401


def test_a_revoked_key_opens_nothing(guarded: Flask, key: MakeKey, session: Session) -> None:
    secret = key("read")
    found = access_rows.keys(session, limit=1)[0]
    access_rows.revoke_key(session, found.id)
    assert guarded.test_client().get("/probe/read", headers=bearer(secret)).status_code == 401


def test_what_is_remembered_of_a_key_is_forgotten_after_five_seconds() -> None:
    now = [0.0]
    remembered: credentials.Remembered[str] = credentials.Remembered(clock=lambda: now[0])
    values = iter(["there", None])
    assert remembered.get("k", lambda: next(values)) == "there"
    now[0] = credentials.REMEMBERED_S - 0.1
    assert remembered.get("k", lambda: next(values)) == "there"
    now[0] = credentials.REMEMBERED_S + 0.1
    assert remembered.get("k", lambda: next(values)) is None


def test_without_the_scope_it_is_403_and_names_the_scope(guarded: Flask, key: MakeKey) -> None:
    answer = guarded.test_client().get("/probe/read", headers=bearer(key("write", "admin")))
    assert answer.status_code == 403
    assert "`read`" in answer.json["message"]


def test_each_method_and_route_has_its_own_window_and_says_how_much_is_left(guarded: Flask, key: MakeKey) -> None:
    client, headers = guarded.test_client(), bearer(key("read", rate=2))
    answers = [client.get("/probe/read", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0", "0"]
    assert answers[0].headers["X-RateLimit-Limit"] == "2"
    assert int(answers[0].headers["X-RateLimit-Reset"]) >= time.time()
    assert "Retry-After" not in answers[0].headers
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 61
    assert answers[2].json["code"] == 429
    assert client.post("/probe/read", headers=headers).status_code == 200
    assert client.get("/probe/metrics", headers=headers).status_code == 200


def test_a_user_has_the_limit_of_the_setting(guarded: Flask, token: str) -> None:
    client = guarded.test_client()
    assert [client.get("/probe/metrics", headers=bearer(token)).status_code for _ in range(3)] == [200, 200, 429]


def test_a_key_without_a_rate_has_no_limit(guarded: Flask, key: MakeKey) -> None:
    client, headers = guarded.test_client(), bearer(key("read", rate=None))
    assert {client.get("/probe/read", headers=headers).status_code for _ in range(20)} == {200}


def test_alertmanager_gets_503_since_it_drops_what_got_429(guarded: Flask, key: MakeKey) -> None:
    client = guarded.test_client()
    headers = {**bearer(key("read", rate=1)), "User-Agent": "Alertmanager/0.25.0"}
    answers = [client.get("/probe/read", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 503]
    assert int(answers[1].headers["Retry-After"]) >= 1


def test_guessing_is_limited_by_address_and_a_made_up_address_does_not_help(guarded: Flask) -> None:
    client = guarded.test_client()
    statuses = [
        client.get(
            "/probe/read", headers={"Authorization": f"Bearer guess{n}", "X-Forwarded-For": f"10.0.0.{n}"}
        ).status_code
        for n in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]


def test_while_redis_is_away_limits_hold_in_memory_and_cost_little(guarded: Flask, key: MakeKey, servers) -> None:
    client, headers = guarded.test_client(), bearer(key("read", rate=3))
    assert client.get("/probe/read", headers=headers).status_code == 200
    servers.redis.pause()
    try:
        began = time.monotonic()
        statuses = [client.get("/probe/read", headers=headers).status_code for _ in range(5)]
        took = timedelta(seconds=time.monotonic() - began)
    finally:
        servers.redis.resume()
    assert statuses == [200, 200, 200, 429, 429]
    # The guard's limit once or twice, then the memory; without the guard each would wait for the socket.
    assert took < timedelta(seconds=0.8)


def test_when_redis_is_back_it_counts_again(guarded: Flask, key: MakeKey, servers, redis_client) -> None:
    client, headers = guarded.test_client(), bearer(key("read", rate=1000))
    servers.redis.stop()
    try:
        assert client.get("/probe/read", headers=headers).status_code == 200
    finally:
        servers.redis.start()

    def counted_in_redis() -> bool:
        client.get("/probe/read", headers=headers)
        return any("key:" in name for name in redis_client.keys("LIMITS*"))

    wait_for(counted_in_redis, timeout_s=40, what="the limits to be counted in Redis again")


def test_prometheus_gets_503_where_it_drops_what_got_429(guarded: Flask) -> None:
    with guarded.test_request_context("/api/v1/write", headers={"User-Agent": "Prometheus/2.42.0"}):
        assert limits.refusal().status == 503
    with guarded.test_request_context("/api/v1/metrics", headers={"User-Agent": "Prometheus/2.42.0"}):
        assert limits.refusal().status == 429
