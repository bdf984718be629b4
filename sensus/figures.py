"""Where does a worker that is alone on its machine show its figures?  At a port of its own, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from sensus import metrics, usage


def show(host: str, port: int) -> None:
    """Answer `GET /metrics` for all processes that share their figures with this one, from a thread of its own.

    Raises OSError when the port is taken.
    """
    registry = metrics.registry_of_all_processes()
    registry.register(_Usage())
    start_http_server(port, addr=host, registry=registry)


class _Usage(Collector):
    def collect(self) -> Iterator[Metric]:
        """Memory and CPU time, as they are now."""
        return usage.families()
