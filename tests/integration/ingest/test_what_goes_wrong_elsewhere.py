"""What other stores of alerts lose, change or refuse is stored here as it was sent: one case for each payload."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory, Quarantined
from tests.factories import alert, alertmanager_webhook


@dataclass(frozen=True)
class Case:
    """A body, sent once for each of `counts`, and what is stored then."""

    body: bytes
    status: int = 202
    # created, updated, duplicates and quarantined of each answer
    counts: tuple[tuple[int, int, int, int], ...] = ()
    rows: list[Any] = field(default_factory=list)
    of_row: Callable[[Alert], Any] = lambda row: row.alert_name
    quarantined: list[str] = field(default_factory=list)


def _webhook(*alerts: dict[str, Any]) -> bytes:
    return json.dumps(alertmanager_webhook(alerts)).encode()


def _label(name: str) -> Callable[[Alert], Any]:
    return lambda row: row.labels.get(name)


def _nameless(**labels: str) -> dict[str, Any]:
    told = alert(labels=labels)
    del told["labels"]["instance"]
    return told


CASES = {
    "severities critical, info, warning in one group": Case(
        _webhook(*(alert(labels={"severity": severity}) for severity in ("critical", "info", "warning"))),
        counts=((3, 0, 0, 0),),
        rows=["critical", "info", "warning"],
        of_row=lambda row: row.severity,
    ),
    "severity page": Case(
        _webhook(alert(labels={"severity": "page"})),
        counts=((1, 0, 0, 0),),
        rows=[("page", "page")],
        of_row=lambda row: (row.severity, row.labels["severity"]),
    ),
    "no severity": Case(
        _webhook(alert()),
        counts=((1, 0, 0, 0),),
        rows=[(None, False)],
        of_row=lambda row: (row.severity, "severity" in row.labels),
    ),
    "two mount points, same name and instance": Case(
        _webhook(alert(labels={"mountpoint": "/"}), alert(labels={"mountpoint": "/var"})),
        counts=((2, 0, 0, 0),),
        rows=["/", "/var"],
        of_row=_label("mountpoint"),
    ),
    "no instance, two services": Case(
        _webhook(_nameless(service="checkout"), _nameless(service="search")),
        counts=((2, 0, 0, 0),),
        rows=["checkout", "search"],
        of_row=_label("service"),
    ),
    "first of three named Heartbeat": Case(
        _webhook(alert("Heartbeat"), alert("DiskFull"), alert("CPUHigh")),
        counts=((3, 0, 0, 0),),
        rows=["CPUHigh", "DiskFull", "Heartbeat"],
    ),
    "the same payload three times": Case(
        _webhook(alert("DiskFull"), alert("CPUHigh")),
        counts=((2, 0, 0, 0), (0, 0, 2, 0), (0, 0, 2, 0)),
        rows=[("CPUHigh", 3), ("DiskFull", 3)],
        of_row=lambda row: (row.alert_name, row.times_received),
    ),
    "no annotations": Case(
        _webhook(
            alert("DiskFull", annotations={}),
            {"labels": {"alertname": "CPUHigh"}, "status": "firing"},
            {**alert("Down"), "annotations": None},
        ),
        counts=((3, 0, 0, 0),),
        rows=[("CPUHigh", None, {}), ("DiskFull", None, {}), ("Down", None, {})],
        of_row=lambda row: (row.alert_name, row.description, row.annotations),
    ),
    "a NUL in a label": Case(
        _webhook(alert("Good"), alert("Bad", labels={"path": "a\0b"})),
        counts=((1, 0, 0, 1),),
        rows=["Good"],
        quarantined=["nul"],
    ),
    "invalid JSON": Case(b'{"alerts": [{"labels": {"alertname": "DiskFull"}}', status=400),
    "empty list": Case(b"[]", counts=((0, 0, 0, 0),)),
    "empty list in a webhook": Case(_webhook(), counts=((0, 0, 0, 0),)),
    "null in place of a list": Case(b'{"alerts": null}', counts=((0, 0, 0, 0),)),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_stored_as_it_was_sent(name: str, writer: FlaskClient, session: Session) -> None:
    case = CASES[name]
    first_ids = None
    for counts in case.counts or (None,):
        answer = writer.post("/api/v1/alerts", data=case.body, content_type="application/json")
        assert answer.status_code == case.status, answer.text
        receipt = answer.get_json()
        if counts is None:
            assert receipt["code"] == case.status
            continue
        assert (receipt["created"], receipt["updated"], receipt["duplicates"], receipt["quarantined"]) == counts
        assert receipt["accepted"] == sum(counts[:3])
        first_ids = first_ids or receipt["alert_ids"]
        assert receipt["alert_ids"] == first_ids
    rows = session.scalars(select(Alert)).all()
    assert sorted((case.of_row(row) for row in rows), key=str) == sorted(case.rows, key=str)
    assert session.scalar(select(func.count(AlertHistory.id))) == len(case.rows)
    assert list(session.scalars(select(Quarantined.reason))) == case.quarantined
