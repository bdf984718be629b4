"""Takes alerts: one transaction, then an audit entry and a knock."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from sensus import logs, metrics, times
from web import alert_intake, answers, bodies
from web.access import access
from web.openapi import ingest_doc
from web.request_context import request_id
from web.resources import resources
from web.schemas import ingest_alerts
from web.schemas.ingest_alerts import AlertIn, WebhookIn
from web.schemas.receipts import AlertsReceipt

log = logs.get_logger(__name__)
blueprint = Blueprint("ingest-alerts", __name__, url_prefix="/api/v1", description="Alerts come in")

_EXAMPLE = {
    "version": "4",
    "groupKey": '{}:{alertname="DiskFull"}',
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFull", "instance": "db-1:9100", "severity": "critical"},
            "annotations": {"summary": "/ is 97% full"},
            "startsAt": "2026-01-31T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ],
}


@blueprint.post("/alerts")
@access("write", limit="alerts")
@blueprint.doc(**ingest_doc("Send alerts, as Alertmanager does", [AlertIn, WebhookIn], AlertsReceipt, example=_EXAMPLE))
def receive_alerts() -> Response:
    """The webhook of Alertmanager, version 4, or a bare list.  What can't be stored is put aside and counted."""
    with metrics.timed(metrics.processing_duration.labels("alerts")):
        received_at = times.now()
        delivery, echoes = alert_intake.without_echoes(ingest_alerts.read(bodies.read_json_bytes(), received_at))
        stored = alert_intake.store(delivery, received_at)
    background = resources().background
    background.relay()
    background.knock_alerts()
    _count(delivery)
    metrics.alerts_echoed.inc(echoes)
    return answers.accepted(
        AlertsReceipt(
            accepted=stored.accepted + echoes,
            created=stored.created,
            updated=stored.updated,
            duplicates=stored.duplicates + echoes,
            quarantined=len(delivery.oddities),
            alert_ids=stored.alert_ids,
            request_id=request_id(),
        )
    )


def _count(delivery: ingest_alerts.Delivery) -> None:
    for status in ("firing", "resolved"):
        count = sum(message.status == status for message in delivery.messages)
        metrics.alerts_received.labels(status).inc(count)
    for oddity in delivery.oddities:
        metrics.quarantined.labels(oddity.reason).inc()
    if delivery.oddities:
        log.warning("alerts_put_aside", count=len(delivery.oddities), reason=delivery.oddities[0].reason)
    if delivery.truncated:
        # Alertmanager tells only how many; max_alerts in its receiver is to be raised or left out.
        metrics.alerts_truncated.inc(delivery.truncated)
        log.warning("alerts_left_out_by_sender", count=delivery.truncated)
