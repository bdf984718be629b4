"""Secrets may stand in files; which one is meant is never a guess."""

from __future__ import annotations

import ssl
from pathlib import Path

import kombu
import pytest

from sensus import settings
from sensus.errors import ConfigurationError

SECRET = "a signing secret of more than 32 characters"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in settings.names():
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_is_read_from_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    (tmp_path / "jwt").write_bytes((SECRET + ending).encode())
    monkeypatch.setenv("SENSUS_JWT_SECRET_FILE", str(tmp_path / "jwt"))
    read = settings.load()
    assert read.require_jwt_secret() == SECRET
    (told,) = [origin for origin in settings.origins(read) if origin.name == "SENSUS_JWT_SECRET"]
    assert told.source == "file"
    assert SECRET not in told.value


def test_the_file_may_be_named_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text(SECRET)
    Path(".env").write_text(f"SENSUS_JWT_SECRET_FILE={tmp_path / 'jwt'}\n")
    assert settings.load().require_jwt_secret() == SECRET


def test_a_secret_from_a_file_is_validated_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jwt").write_text("short")
    monkeypatch.setenv("SENSUS_JWT_SECRET_FILE", str(tmp_path / "jwt"))
    with pytest.raises(ConfigurationError, match=r"SENSUS_JWT_SECRET: .*32") as caught:
        settings.load()
    assert "short" not in str(caught.value).replace("shorter", "")


def test_a_secret_that_is_given_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jwt").write_text(SECRET)
    monkeypatch.setenv("SENSUS_JWT_SECRET_FILE", str(tmp_path / "jwt"))
    monkeypatch.setenv("SENSUS_JWT_SECRET", SECRET)
    with pytest.raises(ConfigurationError, match="are both set; leave out one") as caught:
        settings.load()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nlines and some more of it, for 32", b"\xff" * 40, b"x" * 70_000]
)
def test_a_file_that_holds_no_secret_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "jwt").write_bytes(content)
    monkeypatch.setenv("SENSUS_JWT_SECRET_FILE", str(tmp_path / "jwt"))
    with pytest.raises(ConfigurationError, match=r"SENSUS_JWT_SECRET_FILE: .*jwt must hold the secret on its one line"):
        settings.load()


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_file_that_can_not_be_read_is_one_line_too(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("SENSUS_JWT_SECRET_FILE", place)
    with pytest.raises(ConfigurationError, match=r"^SENSUS_JWT_SECRET_FILE: .* can't be read \("):
        settings.load()


def test_an_empty_path_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    # So says a Compose file for a variable that its user left unset.
    monkeypatch.setenv("SENSUS_JWT_SECRET_FILE", "")
    assert settings.load().jwt_secret is None


def test_only_secrets_may_stand_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSUS_PORT_FILE", "/run/secrets/port")
    with pytest.raises(ConfigurationError, match="unknown setting SENSUS_PORT_FILE"):
        settings.load()


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("postgresql://sensus@db:5432/sensus", "postgresql+psycopg://sensus:p%40ss%2Fw@db:5432/sensus"),
        ("postgresql://sensus@a:1,b:2/sensus", "postgresql+psycopg://sensus:p%40ss%2Fw@a:1,b:2/sensus"),
        ("postgresql://sensus@/sensus?host=/run", "postgresql+psycopg://sensus:p%40ss%2Fw@/sensus?host=/run"),
        ("postgresql://sensus:own@db/sensus", "postgresql+psycopg://sensus:own@db/sensus"),
    ],
)
def test_the_password_of_the_database_may_come_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, whole: str
) -> None:
    (tmp_path / "password").write_text("p@ss/w\n")
    monkeypatch.setenv("SENSUS_DATABASE_URL", url)
    monkeypatch.setenv("SENSUS_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    assert settings.load().require_database_url() == whole


@pytest.mark.parametrize(
    ("url", "whole"),
    [("redis://redis:6379/0", "redis://:w%3Ard@redis:6379/0"), ("redis://u@r/0", "redis://u:w%3Ard@r/0")],
)
def test_the_password_of_redis_may_come_by_itself(monkeypatch: pytest.MonkeyPatch, url: str, whole: str) -> None:
    monkeypatch.setenv("SENSUS_REDIS_URL", url)
    monkeypatch.setenv("SENSUS_REDIS_PASSWORD", "w:rd")
    assert settings.load().require_redis_url() == whole


@pytest.mark.parametrize(
    ("query", "verify"),
    [
        ("", ssl.CERT_REQUIRED),
        ("?ssl_ca_certs=/etc/redis-ca.pem", ssl.CERT_REQUIRED),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE),
    ],
)
def test_redis_by_tls_has_to_prove_who_it_is_to_celery_too(
    monkeypatch: pytest.MonkeyPatch, query: str, verify: ssl.VerifyMode
) -> None:
    monkeypatch.setenv("SENSUS_REDIS_URL", f"rediss://redis:6379/0{query}")
    assert kombu.Connection(settings.load().require_redis_url()).ssl["ssl_cert_reqs"] is verify
