"""What a storm costs: many alerts that begin in one moment, sent again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from db import direct
from db.queries import alerts
from sensus import times

# Each began in a moment of its own, so that a start looks as telling as a fingerprint.
_CALM = """
    INSERT INTO alerts (fingerprint, alert_name, starts_at, status)
    SELECT md5(i::text), 'Calm', now() - make_interval(mins => i), 'resolved' FROM generate_series(1, 30000) AS i
"""


def test_each_repeat_finds_its_row_by_its_fingerprint(session: Session) -> None:
    session.execute(text(_CALM))
    session.execute(text("ANALYZE alerts"))
    rows = [{"fingerprint": f"{number:016x}", "starts_at": times.isoformat(times.now())} for number in range(50)]
    given = {"rows": msgspec.json.encode(rows).decode(), "received_at": times.now()}

    (plan,) = direct.execute(session, f"EXPLAIN (FORMAT JSON) {alerts._UPDATE}", given).fetchone()

    used = {node["Index Name"] for node in _nodes(plan[0]["Plan"]) if "Index Name" in node}
    assert "uq_alerts_fingerprint_starts_at" in used
    assert "idx_alerts_starts_at" not in used


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
