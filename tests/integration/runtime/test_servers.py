"""The private servers: how they are made, and that they keep what they were told."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sensus.errors import ConfigurationError
from sensus.runtime import postgres_place, unprivileged
from sensus.runtime.ports import choose
from sensus.runtime.postgres import EmbeddedPostgres
from sensus.runtime.redis_server import EmbeddedRedis
from tests.servers import PrivateServers, RunningServer

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must become somebody else")


@pytest.fixture(scope="module")
def servers() -> Iterator[PrivateServers]:
    with PrivateServers() as running:
        yield running


@pytest.fixture
def run_postgres(tmp_path: Path) -> Iterator[Callable[[Path], RunningServer]]:
    running: list[RunningServer] = []

    def _run(folder: Path) -> RunningServer:
        server = EmbeddedPostgres(folder, choose(0, "a test"), durable=False)
        running.append(RunningServer(server, tmp_path / f"{len(running)}.log"))
        running[-1].start()
        return running[-1]

    yield _run
    for server in running:
        server.kill()


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, connect_timeout=5)


def value(url: str, query: str) -> object:
    with connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("TimeZone", "UTC"),
        ("synchronous_commit", "on"),
        ("wal_compression", "pglz"),
    ],
)
def test_postgres_is_set_up_as_the_product_needs_it(servers: PrivateServers, setting: str, expected: str) -> None:
    assert isinstance(servers.postgres.server, EmbeddedPostgres)
    assert value(servers.postgres.server.admin_url, f"SELECT current_setting('{setting}')") == expected


def test_the_application_owns_its_database_and_is_no_superuser(servers: PrivateServers) -> None:
    query = (
        "SELECT rolsuper FROM pg_roles JOIN pg_database d ON datdba = pg_roles.oid WHERE datname = current_database()"
    )

    assert value(servers.database_url, f"{query} AND rolname = current_user") is False


def test_text_folds_as_unicode(servers: PrivateServers) -> None:
    assert value(servers.database_url, "SELECT upper('žluťoučký kůň')") == "ŽLUŤOUČKÝ KŮŇ"


@pytest.mark.parametrize("role", ["sensus", "postgres"])
def test_postgres_lets_nobody_in_without_the_password(servers: PrivateServers, role: str) -> None:
    for password in ("", "wrong"):
        url = f"postgresql://{role}:{password}@127.0.0.1:{servers.postgres.server.port}/postgres"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)


def test_redis_lets_nobody_in_without_the_password(servers: PrivateServers) -> None:
    with (
        redis.Redis(port=servers.redis.server.port, retry=Retry(NoBackoff(), retries=0)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_redis_refuses_rather_than_forgets(servers: PrivateServers) -> None:
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        names = ("maxmemory-policy", "appendonly", "appendfsync", "aof-load-truncated", "bind")
        found = client.config_get(*names)

    assert found == dict(zip(names, ("noeviction", "yes", "everysec", "yes", "127.0.0.1"), strict=True))


def test_no_password_is_in_a_list_of_processes(servers: PrivateServers) -> None:
    passwords = [url.split("@")[0].rsplit(":", 1)[1] for url in (servers.database_url, servers.redis_url)]
    for server in (servers.postgres, servers.redis):
        arguments = " ".join(psutil.Process(server.pid).cmdline())
        assert not any(password in arguments for password in passwords)


def test_only_the_owner_can_read_what_the_servers_keep(servers: PrivateServers) -> None:
    for name in ("postgres", "postgres/data", "redis"):
        assert stat.S_IMODE((servers.folder / name).stat().st_mode) == 0o700
    for name in ("postgres/passwords.json", "redis/passwords.json", "redis/redis.conf"):
        assert stat.S_IMODE((servers.folder / name).stat().st_mode) == 0o600


def test_a_new_database_is_empty_or_a_copy(servers: PrivateServers) -> None:
    first = servers.new_database()
    with connect(first) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    copy = servers.new_database(first)

    assert value(copy, "SELECT number FROM kept") == 7
    assert value(servers.new_database(), "SELECT to_regclass('kept')") is None
    servers.drop_database(copy)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connect(copy)


def test_a_restart_keeps_everything_durably() -> None:
    with PrivateServers(durable=True) as servers:
        assert value(servers.database_url, "SELECT current_setting('fsync')") == "on"
        with connect(servers.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
        with redis.Redis.from_url(servers.redis_url) as client:
            client.xadd("stream", {"a": "1"})
        url, redis_url = servers.database_url, servers.redis_url
        servers.postgres.restart()
        servers.redis.restart()

        assert (servers.database_url, servers.redis_url) == (url, redis_url)
        assert value(url, "SELECT count(*) FROM kept") == 1000
        with redis.Redis.from_url(redis_url) as client:
            assert client.xlen("stream") == 1


def test_a_creation_that_was_interrupted_begins_again(
    tmp_path: Path, run_postgres: Callable[[Path], RunningServer]
) -> None:
    folder = tmp_path / "postgres"
    half = folder / "data.new" / "base"
    half.mkdir(parents=True)
    (folder / "data.new" / "PG_VERSION").write_text("18\n")
    (folder / "password.new").write_text("old")

    assert value(run_postgres(folder).url, "SELECT 1") == 1
    assert not (folder / "data.new").exists()
    assert not (folder / "password.new").exists()


def test_data_of_another_major_version_are_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("16\n")

    with pytest.raises(ConfigurationError, match="are of PostgreSQL 16, this Sensus brings 18") as refusal:
        EmbeddedPostgres(tmp_path, 1).prepare()
    assert "\n" not in str(refusal.value)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_somebody_elses_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").touch()

    with pytest.raises(ConfigurationError, match="holds something else"):
        EmbeddedPostgres(tmp_path, 1).prepare()
    assert (tmp_path / "data" / "thesis.txt").exists()


def test_lost_data_are_reported_and_not_replaced_by_an_empty_database(
    tmp_path: Path, run_postgres: Callable[[Path], RunningServer]
) -> None:
    running = run_postgres(tmp_path / "postgres")
    running.stop()
    shutil.rmtree(tmp_path / "postgres" / "data")

    with pytest.raises(ConfigurationError, match="is gone"):
        running.server.prepare()


def test_lost_passwords_are_replaced_and_the_data_stay(
    tmp_path: Path, run_postgres: Callable[[Path], RunningServer]
) -> None:
    folder = tmp_path / "postgres"
    first = run_postgres(folder)
    with connect(first.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    first.stop()
    (folder / "passwords.json").unlink()
    second = run_postgres(folder)

    assert second.url.split("@")[0] != first.url.split("@")[0]
    assert value(second.url, "SELECT number FROM kept") == 7


def test_data_of_an_earlier_release_get_the_role_of_the_dashboards(
    tmp_path: Path, run_postgres: Callable[[Path], RunningServer]
) -> None:
    folder = tmp_path / "postgres"
    first = run_postgres(folder)
    assert isinstance(first.server, EmbeddedPostgres)
    with connect(first.server.admin_url) as connection:
        connection.execute("DROP ROLE sensus_reporting")
    first.stop()
    passwords = json.loads((folder / "passwords.json").read_text())
    del passwords["sensus_reporting"]
    (folder / "passwords.json").write_text(json.dumps(passwords))
    second = run_postgres(folder)
    assert isinstance(second.server, EmbeddedPostgres)

    assert value(second.server.reporting_url, "SELECT current_user") == "sensus_reporting"
    assert second.url.split("@")[0] == first.url.split("@")[0]


@needs_root
def test_root_runs_postgres_in_a_folder_that_nobody_else_can_enter(
    run_postgres: Callable[[Path], RunningServer],
) -> None:
    if not unprivileged.namespace_works(postgres_place.installed_programs() / "initdb"):
        pytest.skip("user namespaces are forbidden on this machine")
    home = Path(tempfile.mkdtemp(prefix="sensus-test-", dir=Path.home()))
    try:
        home.chmod(0o700)
        running = run_postgres(home / "clone" / "data" / "postgres")

        assert value(running.url, "SELECT 1") == 1
        assert (home / "clone" / "data" / "postgres" / "data" / "PG_VERSION").stat().st_uid == 0
        running.stop()
    finally:
        shutil.rmtree(home)


@pytest.fixture
def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shared = Path(tempfile.mkdtemp(prefix="sensus-shared-"))
    monkeypatch.setattr(unprivileged, "namespace_works", lambda _: False)
    monkeypatch.setattr(postgres_place, "SHARED", shared)
    yield shared
    shutil.rmtree(shared)


@needs_root
def test_without_user_namespaces_root_runs_postgres_as_nobody(
    tmp_path: Path,
    without_namespaces: Path,
    run_postgres: Callable[[Path], RunningServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "postgres"
    first = run_postgres(folder)
    with connect(first.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert isinstance(first.server, EmbeddedPostgres)
    data = first.server.place.data
    assert psutil.Process(first.pid).username() == "nobody"
    assert data.is_relative_to(without_namespaces)
    assert data.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert stat.S_IMODE(data.stat().st_mode) == stat.S_IMODE(data.parent.stat().st_mode) == 0o700
    assert str(data) in (folder / postgres_place.RECORD).read_text()
    first.kill()

    # That namespaces work later changes nothing: the data are where they are.
    monkeypatch.setattr(unprivileged, "namespace_works", lambda _: True)
    second = run_postgres(folder)
    assert value(second.url, "SELECT number FROM kept") == 7
    assert psutil.Process(second.pid).username() == "nobody"


@needs_root
def test_data_made_in_a_namespace_are_not_looked_for_elsewhere(
    tmp_path: Path, run_postgres: Callable[[Path], RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not unprivileged.namespace_works(postgres_place.installed_programs() / "initdb"):
        pytest.skip("user namespaces are forbidden on this machine")
    run_postgres(tmp_path / "postgres").stop()
    monkeypatch.setattr(unprivileged, "namespace_works", lambda _: False)

    with pytest.raises(ConfigurationError, match="user namespace, which this machine now forbids"):
        EmbeddedPostgres(tmp_path / "postgres", 1).prepare()


AS_ORDINARY_USER = """
import os, sys
from pathlib import Path
import psycopg, psycopg.errors
sys.path.insert(0, sys.argv[1])
from tests.servers import PrivateServers

try:
    psycopg.connect("postgresql://127.0.0.1:1/x")  # loads what psycopg loads late, while we can read all
except psycopg.OperationalError:
    pass
"x".encode("idna")
uid = int(sys.argv[2])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
with PrivateServers() as servers:
    place = servers.postgres.server.place
    with psycopg.connect(servers.database_url.replace("+psycopg", "")) as connection:
        print(place.way, place.prefix, connection.execute("SELECT 1").fetchone()[0])
"""


@needs_root
def test_an_ordinary_user_runs_the_servers_as_himself() -> None:
    uid = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid not in (0, 65534))
    programs = (postgres_place.installed_programs() / "postgres", Path(__file__))
    if not all(folder.stat().st_mode & 0o005 == 0o005 for path in programs for folder in path.parents):
        pytest.skip("other users can't reach the installation")
    done = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, str(Path(__file__).parents[3]), str(uid)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )

    assert done.stdout == "self () 1\n", done.stderr


def test_a_folder_of_another_user_is_refused_in_one_line(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make one")
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12345, 12345)

    for server in (EmbeddedPostgres(folder, 1), EmbeddedRedis(folder, 1)):
        with pytest.raises(ConfigurationError, match=r"belongs to another user \(uid 12345\)"):
            server.prepare()
