"""A name that the evidence doesn't have is noticed, and ordinary words are no names."""

from __future__ import annotations

import pytest

from llm.names import evidence_text, invented
from tests.unit.llm import cases

EVIDENCE = evidence_text(
    cases.case(labels={"service": "checkout", "instance": "10.0.0.3:8080", "pod": "checkout-7d9f-x2"})
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("The service billing-gateway ran out of memory.", "billing-gateway"),
        ("billing-gateway ran out of memory", "billing-gateway"),
        ("inventory_db is locked", "inventory_db"),
        ("The billing service is down.", "billing"),
        ("Pod billing crashed.", "billing"),
        ("Requests fail because billing is down.", "billing"),
        ("The payment service is down.", "payment"),
        ("payments-7d9f-k2 was evicted", "payments-7d9f-k2"),
        ("user-profile-api timed out", "user-profile-api"),
        ("PaymentService is slow", "PaymentService"),
        ("web03 is overloaded", "web03"),
        ("10.9.9.9:5432 refuses connections", "10.9.9.9:5432"),
        ("db.internal.example.com does not resolve", "db.internal.example.com"),
        ("Redis ran out of memory.", "Redis"),
        ("The host 'zeus' is down", "zeus"),
    ],
)
def test_an_invented_name_is_noticed(text: str, name: str) -> None:
    assert name in invented(text, EVIDENCE)


@pytest.mark.parametrize(
    "text",
    [
        "The checkout service ran out of connections on 10.0.0.3:8080.",
        "checkout-7d9f-x2 was killed; the checkout-service restarted.",
        "An out-of-memory kill after a memory-leak in the read-only replica.",
        "The database is overloaded by long-running queries from an upstream service.",
        "A 5-minute p99-latency spike with HTTP 503 and http2 resets, a 10x rise of 5xx.",
        "The affected service is degraded because a downstream service is slow.",
        "Connection-pool exhaustion, i.e. a thundering-herd of retries, v2.3 vs. v2.4.",
        "Set max_connections in postgresql.conf and compare http_requests_total.",
        "Each pod is restarted; the same host is full. No instance is healthy.",
        "Garbage-collection pauses of the JVM, e.g. a stop-the-world pause.",
        "The database server was restarted after the nightly backup-job; auto-scaling did not help.",
        "A misconfigured feature-flag sends all requests to a single-threaded microservice.",
        "The failing pods and the overloaded node caused a back-pressure.",
    ],
)
def test_ordinary_words_are_no_names(text: str) -> None:
    assert invented(text, EVIDENCE) == ()


def test_a_product_is_known_under_both_its_names() -> None:
    assert invented("PostgreSQL is slow", "postgres_up is 0") == ()
    assert invented("PostgreSQL is slow", "mysql_up is 0") == ("PostgreSQL",)
