"""A place is known by whatever its labels are called."""

from __future__ import annotations

import pytest

from llm import learnt_calls
from llm.learnt_calls import Told
from llm.places import place_of
from llm.topology import Topology


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "Checkout"}, "checkout"),
        ({"app_kubernetes_io_name": "checkout"}, "checkout"),
        ({"deployment": "checkout", "namespace": "shop"}, "checkout"),
        ({"pod": "checkout-7d9f8b6c5d-x2x4z"}, "checkout"),
        ({"pod": "orders-db-0"}, "orders-db"),
        ({"pod": "fluentd-x2k4z"}, "fluentd"),
        ({"job": "shop/checkout"}, "checkout"),
        ({"job": "checkout", "instance": "10.0.0.3:8080"}, "checkout"),
        ({"job": "node-exporter", "instance": "web03:9100"}, None),
        ({"job": "kube-state-metrics", "namespace": "shop", "deployment": "cart"}, "cart"),
        ({"destination_service_name": "reviews.default.svc.cluster.local"}, "reviews"),
        ({"severity": "critical"}, None),
    ],
)
def test_the_service_is_found(labels: dict[str, str], service: str | None) -> None:
    assert place_of(labels).service == service


def test_a_label_of_ones_own_names_the_service_first() -> None:
    assert place_of({"service": "ingress", "component_id": "billing"}, ("component_id",)).service == "billing"


def test_a_host_is_a_place_without_the_namespace_of_its_exporter() -> None:
    place = place_of({"job": "node-exporter", "instance": "web03:9100", "namespace": "monitoring"})
    assert (place.name, place.host, place.namespace) == ("web03", "web03", None)


def test_loopback_is_no_host_that_two_alerts_could_share() -> None:
    assert place_of({"instance": "127.0.0.1:9090"}).host is None
    assert place_of({"instance": "localhost:9090"}).host is None


@pytest.mark.parametrize(
    ("metric", "labels", "told"),
    [
        (
            "traces_service_graph_request_total",
            {"client": "frontend", "server": "checkout"},
            [Told("frontend", "checkout", "calls", "traces")],
        ),
        ("traces_service_graph_request_total", {"client": "user", "server": "checkout"}, []),
        (
            "istio_requests_total",
            {"source_workload": "frontend", "destination_workload": "checkout"},
            [Told("frontend", "checkout", "calls", "labels")],
        ),
        (
            "up",
            {"service": "checkout", "peer_service": "orders-db"},
            [Told("checkout", "orders-db", "calls", "labels")],
        ),
        ("kube_pod_info", {"pod": "cart-0", "node": "ip-10-0-0-7"}, [Told("cart", "ip-10-0-0-7", "runs_on", "labels")]),
        ("up", {"service": "checkout", "upstream": "checkout"}, []),
        ("up", {"upstream": "orders-db"}, []),
    ],
)
def test_labels_tell_who_calls_whom(metric: str, labels: dict[str, str], told: list[Told]) -> None:
    assert list(learnt_calls.told_by(metric, labels)) == told


def test_pairs_of_labels_can_be_configured() -> None:
    assert list(learnt_calls.told_by("m", {"asks": "web", "of": "api"}, ("asks>of",))) == [
        Told("web", "api", "calls", "labels")
    ]


def test_distance_counts_steps_in_either_direction() -> None:
    topology = Topology([("web", "api"), ("api", "db"), ("job", "db"), ("db", "disk"), ("x", "y")])
    assert [topology.distance("web", name) for name in ("web", "api", "db", "job", "disk", "x", "nobody")] == [
        0, 1, 2, 3, 3, None, None,
    ]  # fmt: skip
    assert topology.near(["job"], 1) == {"job", "db"}
    assert "disk" in topology
    assert "nobody" not in topology
