"""Who may speak to whom: the policies of both ends together, as a cluster's network would judge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kubernetes.manifests import (
    OVERLAYS,
    Object,
    Overlay,
    composition,
    matches,
    name_of,
    overlay,
    pod_labels,
    ports_of,
)

WITH_SERVERS = tuple(name for name in OVERLAYS if name != "managed")
# The label by which somebody else's namespace is let in.
LET_IN = {"sensus-access": "true"}
TABLES = ("prepare", "api", "worker-anomaly", "worker-llm", "worker-maintenance")
MESSAGES = (*TABLES, "beat", "flower")
# Those that a request or a message passes through.
TRACED = ("api", "worker-anomaly", "worker-llm", "worker-maintenance")


@pytest.fixture(params=OVERLAYS)
def found(request: pytest.FixtureRequest) -> Overlay:
    return overlay(request.param)


def test_what_is_not_allowed_is_denied(found: Overlay) -> None:
    policy = found.named("NetworkPolicy", "default-deny")
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_policy_is_about_pods_and_ports_that_are_there(found: Overlay) -> None:
    for policy in found.of("NetworkPolicy"):
        chosen = found.selected(policy["spec"]["podSelector"])
        assert chosen, f"{name_of(policy)} is about nobody"
        for rule in policy["spec"].get("ingress", ()):
            for port in rule["ports"]:
                for workload in chosen:
                    known = ports_of(workload)
                    assert port["port"] in {*known, *known.values()}, f"{name_of(policy)}: {port}"


def test_every_pod_that_listens_lets_somebody_in(found: Overlay) -> None:
    for workload in found.workloads():
        if ports_of(workload):
            assert any(
                policy["spec"].get("ingress")
                for policy in found.of("NetworkPolicy")
                if matches(policy["spec"]["podSelector"], pod_labels(workload))
            ), f"nobody can reach {name_of(workload)}"


@pytest.mark.parametrize("name", WITH_SERVERS)
def test_each_process_reaches_what_it_needs_and_no_more(name: str) -> None:
    found = overlay(name)
    for component in MESSAGES:
        workload = of_component(found, component)
        for server, users in (("postgres", TABLES), ("redis", MESSAGES)):
            target = found.named("StatefulSet", server)
            assert may(found, workload, target) == (component in users), f"{component} to {server}"
        for other in MESSAGES:
            assert not may(found, workload, of_component(found, other)), f"{component} to {other}"


def test_the_model_is_asked_by_those_who_need_it() -> None:
    found = overlay("complete")
    model = found.named("Deployment", "ollama")
    assert may(found, found.named("Deployment", "blackbox-exporter"), model)
    (outside,) = (each for each in found.of("NetworkPolicy") if each["metadata"]["name"] == "outside")
    for component in MESSAGES:
        asks = "model" in composition()[component]["networks"]
        assert may(found, of_component(found, component), model) == asks, component
        chosen = matches(outside["spec"]["podSelector"], pod_labels(of_component(found, component)))
        assert chosen == asks, f"the model may be outside for {component}"


def test_what_is_told_to_servers_of_other_namespaces_leaves(found: Overlay) -> None:
    for component in MESSAGES:
        workload = of_component(found, component)
        assert _leaves(found, workload, LET_IN, 4318) == (component in TRACED), f"traces of {component}"
        assert _leaves(found, workload, LET_IN, 9093) == (component == "worker-maintenance"), component
        assert not _leaves(found, workload, {}, 4318), component


@pytest.mark.parametrize("name", WITH_SERVERS)
def test_of_other_namespaces_grafana_alone_reaches_the_database(name: str) -> None:
    found = overlay(name)
    peers = [
        peer
        for policy in found.of("NetworkPolicy")
        if matches(policy["spec"]["podSelector"], pod_labels(found.named("StatefulSet", "postgres")))
        for rule in policy["spec"].get("ingress", ())
        for peer in rule["from"]
        if "namespaceSelector" in peer
    ]
    grafana = {
        "namespaceSelector": {"matchLabels": LET_IN},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "grafana"}},
    }
    assert peers == ([grafana] if name == "complete" else [])


def test_servers_reach_nobody(found: Overlay) -> None:
    for workload in found.of("StatefulSet"):
        for other in found.workloads():
            assert not may(found, workload, other), f"{name_of(workload)} to {name_of(other)}"


def test_other_namespaces_reach_the_api_and_figures_with_the_label_alone(found: Overlay) -> None:
    reachable = {
        workload["metadata"]["name"] for workload in found.workloads() if _lets_in(found, workload, namespace=LET_IN)
    }
    assert {"api", "flower", "beat", "worker-anomaly", "worker-llm", "worker-maintenance"} <= reachable
    assert not reachable & {"postgres", "redis", "ollama"}
    for workload in found.workloads():
        assert not _lets_in(found, workload, namespace={}), name_of(workload)


def test_a_managed_server_is_reached_by_its_address() -> None:
    found = overlay("managed")
    for policy, port in (("to-postgres", 5432), ("to-redis", 6379), ("to-model", 11434)):
        (rule,) = found.named("NetworkPolicy", policy)["spec"]["egress"]
        assert rule["ports"] == [{"port": port}]
        assert [list(peer) for peer in rule["to"]] == [["ipBlock"]]


def of_component(found: Overlay, component: str) -> Object:
    """The workload of a process of ours."""
    return next(each for each in found.workloads() if pod_labels(each).get("app.kubernetes.io/component") == component)


def may(found: Overlay, source: Object, target: Object) -> bool:
    """Whether pods of one workload may open a connection to some port of another's."""
    out = [
        (peer, port)
        for policy in found.of("NetworkPolicy")
        if matches(policy["spec"]["podSelector"], pod_labels(source))
        for rule in policy["spec"].get("egress", ())
        for peer in rule["to"]
        for port in rule["ports"]
    ]
    return any(
        port["port"] in (name, number) and _lets_in(found, target, source, name)
        for peer, port in out
        if _is_peer(peer, pod_labels(target))
        for name, number in ports_of(target).items()
    )


def _lets_in(
    found: Overlay,
    target: Object,
    source: Object | None = None,
    port: str | None = None,
    *,
    namespace: Mapping[str, str] | None = None,
) -> bool:
    """Whether a workload's policies let in these pods, or all of a namespace with these labels."""
    numbers = ports_of(target)
    for policy in found.of("NetworkPolicy"):
        if not matches(policy["spec"]["podSelector"], pod_labels(target)):
            continue
        for rule in policy["spec"].get("ingress", ()):
            on_port = port is None or any(each["port"] in (port, numbers[port]) for each in rule["ports"])
            for peer in rule["from"]:
                if namespace is None and source is not None and on_port and _is_peer(peer, pod_labels(source)):
                    return True
                if namespace is not None and _is_namespace(peer, namespace):
                    return True
    return False


def _leaves(found: Overlay, source: Object, namespace: Mapping[str, str], port: int) -> bool:
    """Whether a workload's policies let it out to this port of all pods of a namespace with these labels."""
    return any(
        _is_namespace(peer, namespace) and {"port": port} in rule["ports"]
        for policy in found.of("NetworkPolicy")
        if matches(policy["spec"]["podSelector"], pod_labels(source))
        for rule in policy["spec"].get("egress", ())
        for peer in rule["to"]
    )


def _is_namespace(peer: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a peer of a policy means all pods of a namespace with these labels."""
    return "namespaceSelector" in peer and "podSelector" not in peer and matches(peer["namespaceSelector"], labels)


def _is_peer(peer: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a peer of a policy means pods with these labels in its own namespace."""
    return "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], labels)
