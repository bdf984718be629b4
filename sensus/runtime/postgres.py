"""The private PostgreSQL of a data folder: made once, started in the foreground, recovered after a crash."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from sensus import reporting
from sensus.errors import ConfigurationError
from sensus.runtime import leftovers, postgres_place
from sensus.runtime.ports import LOOPBACK
from sensus.runtime.postgres_place import MAJOR, Place
from sensus.runtime.secrets import keep, private_folder, sync_folder

ADMIN = "postgres"
APPLICATION = "sensus"  # the role and the database that it owns

# Written into postgresql.conf at creation, where an owner may change them.
_SETTINGS = {
    "max_connections": "100",
    # After each checkpoint the first change of a page is written out whole: the fewer of them the better for ingest,
    # and what is to be done again after a crash still takes seconds.
    "wal_compression": "on",
    "checkpoint_timeout": "10min",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}
_LEAST_BUFFERS_MB, _MOST_BUFFERS_MB = 128, 1024
_INITDB_TIMEOUT_S = 120.0
_PASSWORDS = "passwords.json"


class EmbeddedPostgres:
    """A PostgreSQL server on loopback with its data in a folder of its own.

    `durable=False` leaves out fsync: for tests, whose data need not survive a power cut. What is
    committed survives a SIGKILL of the server either way.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # a fast shutdown: SIGTERM would wait for every client to leave

    def __init__(self, folder: Path, port: int, *, durable: bool = True) -> None:
        self.folder = folder
        self.port = port
        self._durable = durable
        self._place: Place | None = None
        self._passwords: dict[str, str] = {}

    @property
    def place(self) -> Place:
        if self._place is None:
            private_folder(self.folder)
            self._place = postgres_place.choose(self.folder)
        return self._place

    @property
    def url(self) -> str:
        """The application's database, for SQLAlchemy."""
        return self._url("postgresql+psycopg", APPLICATION, APPLICATION)

    @property
    def admin_url(self) -> str:
        """The superuser's way in, for making databases and for backups."""
        return self._url("postgresql", ADMIN, ADMIN)

    @property
    def reporting_url(self) -> str:
        """The way in for dashboards, which may read the views of the schema `reporting`."""
        return self._url("postgresql", reporting.ROLE, APPLICATION)

    def prepare(self) -> None:
        """Make the data folder if need be, and stop what a dead supervisor may have left on it.

        Raises ConfigurationError when the data are of another major version or not to be used.
        """
        data = self.place.data
        self.stop_leftover()
        # Nothing works on the data now, so a pid file is stale; its number may be anybody's by now, and
        # PostgreSQL would refuse to start if that happens to be a process of the same user.
        (data / "postmaster.pid").unlink(missing_ok=True)
        known = self._roles_with_passwords()
        passwords = self._keep_passwords()
        if (data / "PG_VERSION").exists():
            self._check_version(data)
            if not known:
                self._single(data, [_set_password(role, passwords[role]) for role in (ADMIN, APPLICATION)])
            if reporting.ROLE not in known:
                self._single(data, _reader(passwords))
        elif postgres_place.recorded(self.folder):
            # Data that lie elsewhere may get lost, with a container for one; an empty database must not hide that.
            raise ConfigurationError(
                f"the database in {data} is gone; put it back, or remove {self.folder} to begin with an empty one"
            )
        else:
            self._create(data, passwords)
        if not postgres_place.recorded(self.folder):
            postgres_place.record(self.folder, self.place)

    def stop_leftover(self) -> None:
        """Stop the server that a dead supervisor left on the data, if any."""
        leftovers.stop(self.place.data, "postgres", self.stop_signal)

    def command(self) -> list[str]:
        """Runs the server in the foreground; its log goes to stderr."""
        options = {"port": str(self.port), "listen_addresses": LOOPBACK, "unix_socket_directories": ""}
        if not self._durable:
            options["fsync"] = "off"
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*self._program("postgres"), "-D", str(self.place.data), *settings]

    def ready(self) -> bool:
        """Whether the application can log in now."""
        try:
            with psycopg.connect(
                self._url("postgresql", APPLICATION, APPLICATION), connect_timeout=2, autocommit=True
            ) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _url(self, scheme: str, role: str, database: str) -> str:
        password = self._keep_passwords()[role]
        return f"{scheme}://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    def _keep_passwords(self) -> dict[str, str]:
        if not self._passwords:
            maker = lambda: secrets.token_urlsafe(24)  # noqa: E731 - one line, used twice on the next.
            self._passwords = keep(self.folder / _PASSWORDS, {ADMIN: maker, APPLICATION: maker, reporting.ROLE: maker})
        return self._passwords

    def _roles_with_passwords(self) -> frozenset[str]:
        try:
            return frozenset(json.loads((self.folder / _PASSWORDS).read_text("utf-8")))
        except (OSError, ValueError):
            return frozenset()  # What is damaged is refused by the one who keeps it.

    def _program(self, name: str) -> list[str]:
        return [*self.place.prefix, str(self.place.programs / name)]

    def _create(self, data: Path, passwords: dict[str, str]) -> None:
        if data.is_dir() and any(data.iterdir()):
            raise ConfigurationError(f"{data} holds something else than PostgreSQL's data; move it away")
        # All is done under another name and renamed at the end: a start that was interrupted half-way
        # leaves nothing that the next one could take for a database.
        fresh = data.with_name("data.new")
        password_file = data.with_name("password.new")
        shutil.rmtree(fresh, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        try:
            handle = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                file.write(passwords[ADMIN] + "\n")
            if self.place.owner is not None:
                os.chown(password_file, *self.place.owner)
            self._initdb(fresh, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        self._single(
            fresh,
            [
                f"CREATE ROLE {APPLICATION} LOGIN",
                _set_password(APPLICATION, passwords[APPLICATION]),
                f"CREATE DATABASE {APPLICATION} OWNER {APPLICATION}",
                *_reader(passwords),
            ],
        )
        fresh.rename(data)
        sync_folder(data.parent)

    def _initdb(self, fresh: Path, password_file: Path) -> None:
        settings = [part for name, value in _settings().items() for part in ("--set", f"{name}={value}")]
        _run(
            [
                *self._program("initdb"),
                f"--pgdata={fresh}",
                f"--username={ADMIN}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--data-checksums",
                *([] if self._durable else ["--no-sync"]),
                *settings,
            ],
            "",
            self.place.home,
        )

    def _single(self, data: Path, statements: list[str]) -> None:
        """Run statements without a server; they come by stdin, so no password is in a list of processes."""
        options = ["-c", "exit_on_error=on", *([] if self._durable else ["-c", "fsync=off"])]
        command = [*self._program("postgres"), "--single", *options, "-D", str(data), ADMIN]
        _run(command, "".join(f"{statement}\n" for statement in statements), self.place.home)

    def _check_version(self, data: Path) -> None:
        found = (data / "PG_VERSION").read_text("ascii").strip()
        if found != str(MAJOR):
            raise ConfigurationError(
                f"the data in {data} are of PostgreSQL {found}, this Sensus brings {MAJOR}; "
                "use another --data DIR and `sensus restore` a backup there"
            )


def _reader(passwords: dict[str, str]) -> list[str]:
    return [*reporting.STATEMENTS, _set_password(reporting.ROLE, passwords[reporting.ROLE])]


def _set_password(role: str, password: str) -> str:
    return f"ALTER ROLE {role} PASSWORD '{password}'"  # token_urlsafe has no quotes


def _run(command: list[str], standard_input: str, home: Path) -> None:
    # The caller's environment may point PostgreSQL's programs elsewhere (PGDATA, PGOPTIONS).
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        done = subprocess.run(
            command,
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"PostgreSQL's data can't be made in {home}: {error}") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        last = next((line for line in said if "error" in line.lower() or "fatal" in line.lower()), None)
        reason = last or (said[-1] if said else f"exit status {done.returncode}")
        raise ConfigurationError(f"PostgreSQL's data can't be made in {home}: {reason.strip()}")


def _settings() -> dict[str, str]:
    # An eighth of the memory, since workers and a model want theirs, and a stack without load touches little of it.
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    buffers_mb = max(_LEAST_BUFFERS_MB, min(memory_mb // 8, _MOST_BUFFERS_MB))
    return {**_SETTINGS, "shared_buffers": f"{buffers_mb}MB"}
