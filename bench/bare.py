"""How fast could anyone keep alerts here?  A Flask app that parses, upserts and answers, and does nothing else.

No caller is checked, nothing is validated, no history is kept. It is served as the API is, by as many
processes and threads, on the same PostgreSQL.
"""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
from flask import Flask, request

from sensus import settings

PATH = "/alerts"
# The columns, the defaults and the indexes of our own table: what is left out is all that is done around it.
TABLE = "CREATE TABLE bare_alerts (LIKE alerts INCLUDING ALL)"
_UPSERT = """
    INSERT INTO bare_alerts (
        fingerprint, starts_at, status, alert_name, severity, description, labels, annotations, generator_url
    )
    SELECT
        fingerprint, "startsAt", status, labels ->> 'alertname', labels ->> 'severity',
        annotations ->> 'description', labels, annotations, "generatorURL"
    FROM json_to_recordset(%s::json) AS sent (
        fingerprint text, "startsAt" timestamptz, status text, labels jsonb, annotations jsonb, "generatorURL" text
    )
    ON CONFLICT (fingerprint, starts_at) DO UPDATE
    SET status = EXCLUDED.status, labels = EXCLUDED.labels, annotations = EXCLUDED.annotations,
        last_received_at = now()
    """

app = Flask(__name__, static_folder=None)
# As many connections as threads is all the pool that these need.
_mine = threading.local()


@app.post(PATH)
def keep() -> tuple[dict[str, Any], int]:
    """One upsert for the whole webhook, committed before the answer."""
    alerts = request.get_json()["alerts"]
    _connection().execute(_UPSERT, (json.dumps(alerts),), prepare=True)
    return {"accepted": len(alerts)}, 202


@app.get("/health/ready")
def ready() -> str:
    """Asked by whoever starts it."""
    return "ready"


def _connection() -> psycopg.Connection[Any]:
    if not hasattr(_mine, "connection"):
        url = settings.current().require_database_url().replace("postgresql+psycopg://", "postgresql://", 1)
        _mine.connection = psycopg.connect(url, autocommit=True)
    connection: psycopg.Connection[Any] = _mine.connection
    return connection
