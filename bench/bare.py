"""How fast could anyone keep alerts here?  A Flask app that parses, upserts and answers, and does nothing else.

No caller is checked, nothing is validated, no history is kept. It is served as the API is, by as many
processes and threads, on the same PostgreSQL, with the pool that the API has.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
from flask import Flask, request
from sqlalchemy.pool import QueuePool

from sensus import settings

PATH = "/alerts"
# The columns, the defaults and the indexes of our own table: what is left out is all that is done around it.
TABLE = "CREATE TABLE bare_alerts (LIKE alerts INCLUDING ALL)"
_COLUMNS = "fingerprint, starts_at, status, alert_name, severity, description, generator_url, labels, annotations"
_ROW = "(" + ", ".join(["%s"] * 9) + ")"

app = Flask(__name__, static_folder=None)


def _connect() -> Any:
    url = settings.current().require_database_url().replace("postgresql+psycopg://", "postgresql://", 1)
    return psycopg.connect(url)


_pool = QueuePool(_connect, pool_size=settings.current().web_threads)


@app.post(PATH)
def keep() -> tuple[dict[str, Any], int]:
    """One upsert for the whole webhook, committed before the answer."""
    # In one order, or two requests with the same alerts could wait for each other.
    alerts = sorted(request.get_json()["alerts"], key=lambda alert: str(alert["fingerprint"]))
    values: list[object] = []
    for alert in alerts:
        labels, annotations = alert["labels"], alert["annotations"]
        values += [alert["fingerprint"], alert["startsAt"], alert["status"], labels["alertname"]]
        values += [labels["severity"], annotations["description"], alert["generatorURL"]]
        values += [json.dumps(labels), json.dumps(annotations)]
    connection = _pool.connect()
    try:
        direct: psycopg.Connection[Any] = connection.driver_connection  # type: ignore[assignment]
        direct.execute(_upsert(len(alerts)), values)
        direct.commit()
    finally:
        connection.close()
    return {"accepted": len(alerts)}, 202


@app.get("/health/ready")
def ready() -> str:
    """Asked by whoever starts it."""
    return "ready"


def _upsert(rows: int) -> str:
    return (
        f"INSERT INTO bare_alerts ({_COLUMNS}) "  # noqa: S608
        f"VALUES {', '.join([_ROW] * rows)} ON CONFLICT (fingerprint, starts_at) DO UPDATE "
        "SET status = EXCLUDED.status, labels = EXCLUDED.labels, annotations = EXCLUDED.annotations"
    )
