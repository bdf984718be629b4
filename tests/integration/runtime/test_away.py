"""A server that does not answer is one line that names the setting and says why, whatever command asks for it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.servers import PrivateServers
from tests.stack import SENSUS, environment

NOBODY = "127.0.0.1:9"


@pytest.fixture
def database(database_url: str) -> str:
    return database_url.replace("postgresql+psycopg", "postgresql")


def said(folder: Path, *words: str, **settings: str) -> str:
    """The one line of a command that fails; nothing else is printed, and nothing is made in its folder."""
    done = subprocess.run(
        [*SENSUS, *words],
        env=environment(SENSUS_OLLAMA_URL=f"http://{NOBODY}", **settings),
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stdout + done.stderr
    return done.stderr.removeprefix("sensus: ").rstrip()


def broken(database: str) -> dict[str, tuple[str, str]]:
    """Addresses of databases that can't be used, each with the reason."""
    there = urlsplit(database)
    host = f"{there.hostname}:{there.port}"
    return {
        "password": (f"postgresql://{there.username}:wrong@{host}{there.path}", "the password is refused"),
        "host": (database.replace(host, "no-such-host.invalid"), "the host is unknown"),
        "port": (database.replace(host, NOBODY), "nobody listens there"),
        "name": (f"{database}_not", "there is no such database"),
        "spelling": (database.replace(host, "127.0.0.1:port"), "the address is not written as it must be"),
    }


@pytest.mark.parametrize("what", ["password", "host", "port", "name", "spelling"])
def test_a_start_names_the_setting_of_a_database_and_why(tmp_path: Path, database: str, what: str) -> None:
    url, reason = broken(database)[what]
    assert said(tmp_path, "up", "--port", "0", SENSUS_DATABASE_URL=url) == f"SENSUS_DATABASE_URL: {reason}"
    assert not list((tmp_path / "data").glob("*/"))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (NOBODY, "nobody listens there"),
        ("no-such-host.invalid", "the host is unknown"),
        ("127.0.0.1:port", "the address is not written as it must be"),
    ],
)
def test_a_start_names_the_setting_of_redis_and_why(tmp_path: Path, address: str, reason: str) -> None:
    line = said(tmp_path, "up", "--port", "0", SENSUS_REDIS_URL=f"redis://{address}/0")
    assert line == f"SENSUS_REDIS_URL: {reason}"


def test_a_redis_that_refuses_the_password_is_told(tmp_path: Path, servers: PrivateServers) -> None:
    there = urlsplit(servers.redis_url)
    for password, reason in ((":wrong@", "the password is refused"), ("", "a password is missing")):
        url = f"redis://{password}{there.hostname}:{there.port}/0"
        assert said(tmp_path, "up", "--port", "0", SENSUS_REDIS_URL=url) == f"SENSUS_REDIS_URL: {reason}"


@pytest.mark.parametrize("words", [("user", "list"), ("db", "upgrade"), ("prepare",)])
def test_other_commands_tell_it_too(tmp_path: Path, database: str, words: tuple[str, ...]) -> None:
    url, reason = broken(database)["password"]
    assert f"SENSUS_DATABASE_URL: {reason}" in said(
        tmp_path, *words, SENSUS_DATABASE_URL=url, SENSUS_REDIS_URL=f"redis://{NOBODY}/0"
    )


def test_the_server_of_a_stack_that_was_killed_is_no_setting(tmp_path: Path, database: str) -> None:
    (tmp_path / "data").mkdir()
    url = broken(database)["port"][0]
    (tmp_path / "data" / "run.json").write_text(f'{{"database_url": "{url}", "redis_url": "redis://{NOBODY}/0"}}')
    assert said(tmp_path, "user", "list").endswith("(the database: nobody listens there)")


def test_check_says_why(tmp_path: Path, database: str) -> None:
    url, reason = broken(database)["password"]
    done = subprocess.run(
        [*SENSUS, "check"],
        env=environment(SENSUS_DATABASE_URL=url, SENSUS_REDIS_URL=f"redis://{NOBODY}/0"),
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert told["database"] == f"MISSING: SENSUS_DATABASE_URL: {reason}"
    assert told["redis"] == "MISSING: SENSUS_REDIS_URL: nobody listens there"
