"""Pings run side by side, each within its limit."""

from __future__ import annotations

import threading

from sensus import health


def boom() -> str:
    raise ConnectionError


def pings(**checks) -> health.Pings:
    return health.Pings(checks, needed=frozenset({"database"}), limit_s=0.2)


def test_all_well_is_ok() -> None:
    status, checks = pings(database=lambda: "PostgreSQL 18", redis=lambda: "answers").run()
    assert status == "ok"
    assert checks["database"] == health.Check(True, "PostgreSQL 18")


def test_without_what_is_needed_it_is_down() -> None:
    status, checks = pings(database=boom, redis=lambda: "answers").run()
    assert status == "down"
    assert checks["database"] == health.Check(False, "away (ConnectionError)")


def test_without_the_rest_it_is_degraded() -> None:
    assert pings(database=lambda: "there", redis=boom).run()[0] == "degraded"


def test_one_that_hangs_costs_the_limit_and_no_more() -> None:
    release = threading.Event()
    status, checks = pings(database=lambda: "there", redis=lambda: str(release.wait(10))).run()
    release.set()
    assert status == "degraded"
    assert checks["redis"].detail == "no answer within 0.2 s"
