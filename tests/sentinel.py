"""Two Redis, three Sentinels and HAProxy, all Debian's, on loopback: a master that dies is replaced."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from sensus.runtime import ports
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent
PASSWORD = "apasswordofredis"
PROGRAMS = ("redis-server", "redis-sentinel", "haproxy")
_DOWN_AFTER_MS = 3000


class SentinelRedis:
    """What fails over, for the time of a `with` block; `url` is the address that stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [ports.choose(0, "a test") for _ in range(2)]
        self._port = ports.choose(0, "a test")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """The master's machine fails."""
        self._gone = self._master()
        process = self._running.pop(f"redis-{self._gone}")
        process.kill()
        process.wait()

    def start(self) -> None:
        """When another has taken over, it comes back and follows that one."""
        wait_for(lambda: self._answers_as_master(self._port), "another Redis is master", timeout_s=60)
        self._redis(self._gone, "--replicaof", "127.0.0.1", str(self._master()))

    def _start(self) -> None:
        first, second = self._ports
        self._redis(first)
        self._redis(second, "--replicaof", "127.0.0.1", str(first))
        for number in range(3):
            self._sentinel(number, first)
        environment = {
            **os.environ,
            "REDIS_BIND": f"127.0.0.1:{self._port}",
            "REDIS_PASSWORD": PASSWORD,
            "REDIS_A": f"127.0.0.1:{first}",
            "REDIS_B": f"127.0.0.1:{second}",
        }
        self._run("haproxy", "haproxy", "-f", str(ROOT / "ops/sentinel/haproxy.cfg"), env=environment)
        # It takes both for masters until it has asked them, and lets them take turns.
        wait_for(
            lambda: all(self._answers_as_master(self._port) for _ in range(8)),
            "HAProxy leads to the master alone",
            timeout_s=30,
        )
        wait_for(lambda: self._facts(first)["connected_slaves"] == 1, "the replica follows")

    def _redis(self, port: int, *more: str) -> None:
        words = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--appendonly", "yes")
        files = ("--appenddirname", f"append-{port}", "--dbfilename", f"{port}.rdb")
        logins = ("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--maxmemory-policy", "noeviction")
        self._run(f"redis-{port}", "redis-server", *words, *files, *logins, "--repl-diskless-sync-delay", "0", *more)
        wait_for(lambda: bool(self._facts(port)), f"Redis at {port} answers")

    def _sentinel(self, number: int, master: int) -> None:
        port = ports.choose(0, "a test")
        config = self._folder / f"sentinel-{number}.conf"
        lines = (
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {self._folder}",
            f"sentinel monitor sensus 127.0.0.1 {master} 2",
            f"sentinel auth-pass sensus {PASSWORD}",
            f"sentinel down-after-milliseconds sensus {_DOWN_AFTER_MS}",
            "sentinel failover-timeout sensus 10000",
        )
        config.write_text("\n".join(lines) + "\n")
        self._run(f"sentinel-{number}", "redis-sentinel", str(config))

        def knows_all() -> bool:
            with redis.Redis(port=port, socket_timeout=1) as client:
                facts = client.sentinel_master("sensus")
            return facts["num-slaves"] == 1 and facts["num-other-sentinels"] == number

        # Each meets those before it.
        wait_for(lambda: _quietly(knows_all), f"Sentinel {number} knows the others", timeout_s=30)

    def _run(self, name: str, program: str, *words: str, env: dict[str, str] | None = None) -> None:
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert found is not None, f"Debian's {program} is not installed"
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen([found, *words], env=env, stdout=log, stderr=subprocess.STDOUT)

    def _master(self) -> int:
        return next(port for port in self._ports if self._answers_as_master(port))

    def _answers_as_master(self, port: int) -> bool:
        return self._facts(port).get("role") == "master"

    def _facts(self, port: int) -> dict[str, Any]:
        try:
            with redis.Redis(port=port, password=PASSWORD, socket_timeout=1) as client:
                facts: dict[str, Any] = client.info("replication")
                return facts
        except redis.RedisError:
            return {}


def _quietly(ask: Any) -> bool:
    try:
        return bool(ask())
    except redis.RedisError:
        return False
