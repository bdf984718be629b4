"""What belongs together is put together, and nothing else; over storms whose truth is known."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.grouping import Grouping, Known, group
from llm.places import place_of
from llm.sightings import Sighting
from llm.topology import Topology
from tests.storms.made import Profile, storm
from tests.storms.replayed import judgement

MINUTE = 60.0
NOTHING_KNOWN = Topology()


def seen(
    key: int,
    name: str = "HighErrorRate",
    *,
    at: float = 0.0,
    text: str = "",
    group_key: str | None = None,
    **labels: str,
) -> Sighting:
    identity = f"{name} {sorted(labels.items())}"
    return Sighting(key, identity, name, place_of(labels), 1e9 + at, group_key, text)


def ids(result: Grouping) -> list[int]:
    """The incident of each newcomer, by its key."""
    return [each.incident for each in sorted(result.joined, key=lambda each: each.key)]


def together(*sightings: Sighting, topology: Topology = NOTHING_KNOWN) -> bool:
    return len(set(ids(group(sightings, [], topology)))) == 1


@pytest.mark.parametrize("topology", [1.0, 0.8, 0.0])
def test_storms_of_300_alerts_are_put_together_as_they_belong(topology: float) -> None:
    """Over conventions of labels, groups of the Alertmanager, sizes and seeds that no constant was chosen by."""
    rng = random.Random(f"unseen {topology}")
    found = [judgement(storm(rng.randrange(10**6), _profile(rng, topology))) for _ in range(16)]
    assert statistics.mean(each.precision for each in found) >= 0.90
    assert statistics.mean(each.recall for each in found) >= 0.90


def _profile(rng: random.Random, topology: float) -> Profile:
    return Profile(
        labelling=rng.choice(("service", "kubernetes", "job", "app_and_host", "mixed")),
        group_by=rng.choice(("alertname", "namespace", "service", "cluster_and_alertname", "alert", "none")),
        services=rng.choice((120, 200, 300)),
        incidents=rng.choice((3, 4, 5)),
        noise=rng.choice((0.05, 0.1, 0.15)),
        flapping=rng.choice((0.05, 0.15, 0.3)),
        minutes=rng.choice((30, 50, 90)),
        topology=topology,
    )


def test_a_service_whose_callee_failed_before_it_joins_the_callees_incident() -> None:
    calls = Topology([("checkout", "orders-db"), ("search", "index")])
    root = seen(1, "ConnectionsExhausted", service="orders-db")
    caller = seen(2, at=90, service="checkout")
    stranger = seen(3, at=90, service="search")
    assert ids(group([root, caller, stranger], [], calls)) == [-1, -1, -2]


def test_without_a_known_call_a_text_that_names_the_other_service_ties_them() -> None:
    root = seen(1, service="orders-db")
    assert together(root, seen(2, at=60, text="calls to orders-db fail", service="checkout"))
    assert not together(root, seen(2, at=60, service="checkout"))


def test_the_same_group_of_the_alertmanager_is_no_proof() -> None:
    key = '{}:{alertname="HighErrorRate"}'
    alerts = [seen(place, at=40.0 * place, group_key=key, service=f"service-{place}") for place in range(6)]
    assert len(set(ids(group(alerts, [], NOTHING_KNOWN)))) > 3


def test_a_flapping_alert_stays_with_its_incident() -> None:
    first = seen(1, service="checkout", pod="checkout-0")
    known = [Known(7, (first,), ended_at=first.at + 60)]
    again = seen(2, at=40 * MINUTE, service="checkout", pod="checkout-0")
    assert ids(group([again], known, NOTHING_KNOWN)) == [7]
    other = seen(3, "HighLatency", at=40 * MINUTE, service="checkout", pod="checkout-0")
    assert ids(group([other], known, NOTHING_KNOWN)) == [-1], "the incident is long over"


def test_an_alert_hours_later_at_the_same_place_is_another_incident() -> None:
    assert together(seen(1, service="checkout"), seen(2, "HighLatency", at=10 * MINUTE, service="checkout"))
    assert not together(seen(1, service="checkout"), seen(2, "HighLatency", at=300 * MINUTE, service="checkout"))


def test_the_same_service_of_another_cluster_is_another_one() -> None:
    assert not together(seen(1, service="api", cluster="eu"), seen(2, at=30, service="api", cluster="us"))


def test_pods_of_a_host_that_is_gone_belong_to_it() -> None:
    host = seen(1, "NodeNotReady", instance="ip-10-0-0-7:9100", job="node-exporter")
    pods = [
        seen(2 + n, "PodNotReady", at=30.0 + n, pod=f"{name}-0", node="ip-10-0-0-7") for n, name in enumerate("abc")
    ]
    assert together(host, *pods)
    elsewhere = seen(9, "PodNotReady", at=30, pod="d-0", node="ip-10-0-0-8")
    assert not together(host, elsewhere)


def test_two_incidents_become_one_when_their_common_cause_is_heard_of() -> None:
    calls = Topology([("cart", "kafka"), ("mailer", "kafka")])
    known = [Known(1, (seen(1, at=20, service="cart"),)), Known(2, (seen(2, at=30, service="mailer"),))]
    result = group([seen(3, "BrokerDown", at=0, text="cart and mailer wait", service="kafka")], known, calls)
    assert [(each.from_id, each.into_id) for each in result.merged] == [(2, 1)]
    assert ids(result) == [1]


alerts = st.builds(
    lambda name, at, labels: (name, at, labels),
    st.sampled_from(["A", "B", "C"]),
    st.floats(0, 3000),
    st.fixed_dictionaries(
        {},
        optional={
            "service": st.sampled_from(["web", "api", "db", "cache"]),
            "namespace": st.sampled_from(["shop", "pay"]),
            "instance": st.sampled_from(["h1:80", "h2:80", "127.0.0.1:80"]),
            "pod": st.sampled_from(["web-0", "api-5d9f8c7b6-x2x4z"]),
            "cluster": st.sampled_from(["eu", "us"]),
            "queue": st.text(max_size=5),
        },
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(alerts, max_size=25), st.randoms(use_true_random=False), st.booleans())
def test_every_alert_has_one_incident_whatever_the_order_they_are_given_in(
    drawn: list[tuple[str, float, dict[str, str]]], shuffle: random.Random, with_calls: bool
) -> None:
    topology = Topology([("web", "api"), ("api", "db")]) if with_calls else NOTHING_KNOWN
    newcomers = [seen(key, name, at=at, **labels) for key, (name, at, labels) in enumerate(drawn)]
    result = group(newcomers, [], topology)
    assert [each.key for each in sorted(result.joined, key=lambda each: each.key)] == list(range(len(drawn)))
    assert all(each.incident < 0 and 0 <= each.strength <= 1 for each in result.joined)
    assert not result.merged
    shuffled = list(newcomers)
    shuffle.shuffle(shuffled)
    assert group(shuffled, [], topology) == result


@settings(max_examples=40, deadline=None)
@given(st.lists(alerts, min_size=1, max_size=15), st.lists(alerts, max_size=15))
def test_a_merge_leaves_no_newcomer_in_an_incident_that_is_gone(
    before: list[tuple[str, float, dict[str, str]]], after: list[tuple[str, float, dict[str, str]]]
) -> None:
    topology = Topology([("web", "api"), ("api", "db"), ("cache", "db")])
    known = [
        Known(1 + key, (seen(1000 + key, name, at=at, **labels),)) for key, (name, at, labels) in enumerate(before)
    ]
    result = group([seen(key, name, at=at, **labels) for key, (name, at, labels) in enumerate(after)], known, topology)
    gone = {each.from_id for each in result.merged}
    assert not gone & {each.incident for each in result.joined}
    assert not gone & {each.into_id for each in result.merged}
