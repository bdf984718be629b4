"""Which calls, and which hosts of services, do the labels of a series tell of?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llm.places import normal, place_of

# Pairs of labels, the caller's and the callee's. `service` stands for whatever names the service of the series.
PAIRS = (
    "source_workload>destination_workload", "source_app>destination_app", "source_service>destination_service",
    "source_canonical_service>destination_canonical_service", "service>destination_service", "service>peer_service",
    "service>upstream", "service>upstream_service", "service>dependency", "service>rpc_service", "caller>callee",
    "consumer>provider",
)  # fmt: skip
# Tempo, the span-metrics connector of OpenTelemetry and Alloy all write this family.
_OF_TRACES = "traces_service_graph_request"
_NODES = ("node", "nodename", "host", "hostname", "machine", "kubernetes_node", "host_name")
_NOBODY = frozenset({"", "unknown", "none", "null", "user", "undefined", "n/a", "-"})
_OWN_SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Told:
    """One edge that labels tell of."""

    caller: str
    callee: str
    kind: Literal["calls", "runs_on"]
    source: Literal["labels", "traces"]


def told_by(
    metric_name: str, labels: Mapping[str, str], pairs: Sequence[str] = PAIRS, service_labels: Sequence[str] = ()
) -> Iterator[Told]:
    """What the series says of who calls whom and what runs where."""
    if metric_name.startswith(_OF_TRACES):
        yield from _call(labels.get("client", ""), labels.get("server", ""), "traces")
        return
    own = place_of(labels, service_labels).service or ""
    for pair in pairs:
        caller, _, callee = pair.partition(">")
        if callee in labels:
            yield from _call(own if caller == _OWN_SERVICE else labels.get(caller, ""), labels[callee], "labels")
    node = next((normal(labels[name]) for name in _NODES if labels.get(name)), "")
    if own and node not in _NOBODY and node != own:
        yield Told(own, node, "runs_on", "labels")


def _call(caller: str, callee: str, source: Literal["labels", "traces"]) -> Iterator[Told]:
    one, other = normal(caller), normal(callee)
    if one != other and one not in _NOBODY and other not in _NOBODY:
        yield Told(one, other, "calls", source)
