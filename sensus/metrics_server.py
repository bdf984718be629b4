"""A worker's or beat's figures for Prometheus, where no API on its machine shows them: a small HTTP server."""

from __future__ import annotations

from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sensus import metrics, process_figures


class MetricsServer:
    """Serves `/metrics` from a thread of its own, for all processes that share figures with this one.

    Raises OSError when it can't listen there.
    """

    def __init__(self, host: str, port: int) -> None:
        registry = CollectorRegistry(support_collectors_without_names=True)
        registry.register(_Everything())
        server, self._thread = start_http_server(port, addr=host, registry=registry)
        self._server: WSGIServer = server

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def let_go(self) -> None:
        """Close what a forked child inherited: it would hold the port when its parent is gone."""
        self._server.socket.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Everything(Collector):
    """Asked anew at each scrape, since processes come and go."""

    def collect(self) -> Iterator[Metric]:
        yield from metrics.registry_of_all_processes().collect()
        yield from process_figures.families()
