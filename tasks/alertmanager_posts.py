"""Tell an Alertmanager what fires and what ended: its API, within a deadline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

import httpx
import msgspec

from db.queries.anomaly_alerts import Due
from llm.transport import DeadlineTransport
from sensus import times
from tasks.alertmanager import AlertmanagerAway, AlertmanagerUnreadable

DEADLINE_S = 10.0
_MOST_BYTES = 64 * 1024
_ALERTS_A_POST = 500
_ALERTS = "/api/v2/alerts"


def post(url: str, alerts: Sequence[Due], *, until: datetime, deadline_s: float = DEADLINE_S) -> None:
    """Tell the Alertmanager at this address; what has no end fires until `until`, unless it is told again.

    Telling twice does no harm: the same labels with the same start are one alert.
    Raises AlertmanagerAway, or AlertmanagerUnreadable when it does not take what it is told.
    """
    deadline = time.monotonic() + deadline_s
    for first in range(0, len(alerts), _ALERTS_A_POST):
        body = [_told(alert, until) for alert in alerts[first : first + _ALERTS_A_POST]]
        transport = DeadlineTransport(deadline, max_bytes=_MOST_BYTES)
        headers = {"Content-Type": "application/json", "User-Agent": "sensus"}
        try:
            with httpx.Client(transport=transport, headers=headers, trust_env=False) as client:
                answer = client.post(url + _ALERTS, content=msgspec.json.encode(body))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Its own words may hold the address with the password in it.
            raise AlertmanagerAway(type(error).__name__) from None
        if answer.status_code >= 500:
            raise AlertmanagerAway(f"it answered {answer.status_code}")
        if answer.status_code != 200:
            raise AlertmanagerUnreadable(f"it answered {answer.status_code}: {answer.text[:200]}")


def _told(alert: Due, until: datetime) -> dict[str, object]:
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": times.isoformat(alert.starts_at),
        "endsAt": times.isoformat(alert.ends_at or until),
    }
