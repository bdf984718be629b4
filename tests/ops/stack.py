"""Everything that is looked at, and everything that looks: each program by itself, as in Compose."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sensus.runtime import ports
from sensus.runtime.names import OURS
from sensus.runtime.postgres import EmbeddedPostgres
from tests.containers.tools import ROOT, CheckFailed, run
from tests.ops import shortened
from tests.ops.people import People
from tests.ops.processes import Program, answers
from tests.ops.prometheus import Prometheus
from tests.servers import PrivateServers
from tests.stack import SENSUS, environment

KEY = "sns_" + "k" * 40
EXPORTER = ROOT / ".venv" / "celery-exporter" / "bin" / "python"
# The names and ports of ops/prometheus and ops/alertmanager.
_PLACES = (
    "api:8080",
    "worker-anomaly:9809",
    "worker-llm:9809",
    "worker-maintenance:9809",
    "beat:9809",
    "celery-exporter:9808",
    "flower:5555",
    "postgres-exporter:9187",
    "redis-exporter:9121",
    "blackbox-exporter:9115",
    "ollama:11434",
    "alertmanager:9093",
    "localhost:9090",
)


# By the program that is looked for: the package that brings it.
TOOLS = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
}


class Stack:
    """The running programs by name, and the ways to them."""

    def __init__(self, folder: Path, servers: PrivateServers, people: People) -> None:
        self.folder = folder
        self.servers = servers
        self.people = people
        self.addresses = {place: f"127.0.0.1:{ports.choose(0, place)}" for place in _PLACES}
        self.programs: dict[str, Program] = {}
        self.prometheus = Prometheus(f"http://{self.addresses['localhost:9090']}")

    def url(self, place: str) -> str:
        """The address of a program by its name in the configuration."""
        return f"http://{self.addresses[place]}"

    @property
    def api(self) -> str:
        return self.url("api:8080")

    @property
    def alertmanager(self) -> str:
        return self.url("alertmanager:9093")

    @property
    def reporting_url(self) -> str:
        server = self.servers.postgres.server
        assert isinstance(server, EmbeddedPostgres)
        return server.reporting_url

    def start(self) -> None:
        """Start all, our own after their servers and together, then those that look."""
        for program in self._all():
            self.programs[program.name] = program
        run(*SENSUS, "prepare", env=self._settings("prepare"))
        for program in self.programs.values():
            program.launch()
        for program in self.programs.values():
            program.wait()

    def close(self) -> None:
        """End all, those that look first."""
        for program in reversed(self.programs.values()):
            program.kill()

    def _all(self) -> Iterator[Program]:
        yield self._model()
        for name in OURS:
            env = self._settings(name)
            yield Program(name, [*SENSUS, "run", name], self.folder, env, self._ready_of(name))
        yield from self._exporters()
        at = self.addresses["alertmanager:9093"]
        config = shortened.alertmanager(self.folder, self.addresses, KEY, self.people.url)
        options = [f"--config.file={config}", f"--storage.path={self.folder / 'alertmanager'}"]
        options += [f"--web.listen-address={at}", "--cluster.listen-address="]
        yield self._looking("alertmanager", ["prometheus-alertmanager", *options], f"http://{at}/-/ready")
        at = self.addresses["localhost:9090"]
        config = shortened.prometheus(self.folder, self.addresses)
        options = [f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'tsdb'}"]
        options += [f"--web.listen-address={at}", "--rules.alert.resend-delay=2s"]
        yield self._looking("prometheus", ["prometheus", *options], f"http://{at}/-/ready")

    def _model(self) -> Program:
        # The one stand-in: a model server that speaks the real wire protocol.
        port = self.addresses["ollama:11434"].rpartition(":")[2]
        command = [sys.executable, "-m", "tests.ollama_server", "--port", port]
        return self._looking("ollama", command, f"{self.url('ollama:11434')}/api/tags")

    def _exporters(self) -> Iterator[Program]:
        at = self.addresses["postgres-exporter:9187"]
        source = {"DATA_SOURCE_NAME": f"{self.reporting_url}?sslmode=disable"}
        command = ["prometheus-postgres-exporter", f"--web.listen-address={at}"]
        yield self._looking("postgres-exporter", command, f"http://{at}/metrics", **source)
        at = self.addresses["redis-exporter:9121"]
        options = [f"-web.listen-address={at}", "-check-single-keys=anomaly,llm,maintenance", "-connection-timeout=3s"]
        command = ["prometheus-redis-exporter", *options, f"-redis.addr={self.servers.redis_url}"]
        yield self._looking("redis-exporter", command, f"http://{at}/metrics")
        at = self.addresses["blackbox-exporter:9115"]
        options = [f"--config.file={shortened.PROMETHEUS / 'blackbox.yml'}", f"--web.listen-address={at}"]
        yield self._looking("blackbox-exporter", ["prometheus-blackbox-exporter", *options], f"http://{at}/metrics")
        host, port = self.addresses["celery-exporter:9808"].split(":")
        command = [str(EXPORTER), "-c", "from src.cli import cli; cli(auto_envvar_prefix='CE')"]
        command += [f"--port={port}", f"--host={host}", "--retry-interval=1", "--queues=anomaly,llm,maintenance"]
        ready = f"http://{host}:{port}/health"
        yield self._looking("celery-exporter", command, ready, CE_BROKER_URL=self.servers.redis_url)

    def _looking(self, name: str, command: list[str], ready: str, **more: str) -> Program:
        return Program(name, command, self.folder, {**environment(), **more}, answers(ready))

    def _ready_of(self, name: str) -> Callable[[], bool]:
        place = {"web": "api:8080", "flower": "flower:5555"}.get(name, f"{name}:9809")
        path = {"web": "/health/ready", "flower": "/healthcheck"}.get(name, "/metrics")
        return answers(self.url(place) + path)

    def _settings(self, name: str) -> dict[str, str]:
        data = self.folder / name
        data.mkdir(exist_ok=True)
        port = {place: address.rpartition(":")[2] for place, address in self.addresses.items()}
        return environment(
            SENSUS_DATA_DIR=str(data),
            SENSUS_DATABASE_URL=self.servers.database_url.replace("postgresql+psycopg", "postgresql"),
            SENSUS_REDIS_URL=self.servers.redis_url,
            SENSUS_OLLAMA_URL=self.url("ollama:11434"),
            SENSUS_ALERTMANAGER_URL=self.alertmanager,
            SENSUS_ANOMALY_ALERTS="on",
            SENSUS_JWT_SECRET="j" * 40,
            SENSUS_ADMIN_PASSWORD="an admin's password",
            SENSUS_SOURCE_KEY=KEY,
            SENSUS_PORT=port["api:8080"],
            SENSUS_FLOWER_PORT=port["flower:5555"],
            SENSUS_METRICS_PORT="0" if name in ("prepare", "web", "flower") else port[f"{name}:9809"],
        )


@contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """The stack, ready; all of it is gone after the block."""
    with ExitStack() as around:
        servers = around.enter_context(PrivateServers())
        people = around.enter_context(People())
        stack = Stack(folder, servers, people)
        around.callback(stack.close)
        stack.start()
        yield stack


def demand_tools() -> None:
    """Raises CheckFailed when a program is missing; nothing is left out quietly."""
    missing = sorted({package for program, package in TOOLS.items() if shutil.which(program) is None})
    if missing:
        raise CheckFailed(f"missing: apt-get install --no-install-recommends {' '.join(missing)}")
    if not EXPORTER.exists():
        raise CheckFailed(f"missing: {EXPORTER}, which `make ops-check` makes")
