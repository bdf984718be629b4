"""How fast could anyone keep alerts here?  A Flask app that parses, upserts and answers, and does nothing else.

No caller is checked, nothing is validated, no history is kept. It is served as the API is, by as many
processes and threads, on the same PostgreSQL, with the pool that the API has.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import psycopg
from flask import Flask, request
from sqlalchemy.pool import QueuePool

from sensus import settings

PLAIN = "/alerts"
LIKE_OURS = "/alerts-like-ours"
TABLES = (
    """
    CREATE TABLE bare_alerts (
        fingerprint text NOT NULL, starts_at timestamptz NOT NULL, status text NOT NULL,
        labels jsonb NOT NULL, annotations jsonb NOT NULL,
        UNIQUE (fingerprint, starts_at)
    )
    """,
    # With all columns, defaults and indexes of our own: what is left out is all that is done around it.
    "CREATE TABLE bare_alerts_like_ours (LIKE alerts INCLUDING ALL)",
)
EMPTY = "TRUNCATE bare_alerts, bare_alerts_like_ours"

app = Flask(__name__, static_folder=None)
Row = tuple[object, ...]


def _connect() -> Any:
    url = settings.plain_url(settings.current().require_database_url())
    return psycopg.connect(url)


@cache
def _pool() -> QueuePool:
    return QueuePool(_connect, pool_size=settings.current().web_threads)


@app.post(LIKE_OURS)
def keep_like_ours() -> tuple[dict[str, Any], int]:
    """One upsert for the whole webhook, committed before the answer, into a table as the product needs it."""
    columns = "fingerprint, starts_at, status, labels, annotations, alert_name, severity, description, generator_url"
    return _upsert("bare_alerts_like_ours", columns, _like_ours)


@app.post(PLAIN)
def keep() -> tuple[dict[str, Any], int]:
    """The same into the least table that can hold an alert: five columns and a unique key."""
    return _upsert("bare_alerts", "fingerprint, starts_at, status, labels, annotations", _plain)


@app.get("/health/ready")
def ready() -> str:
    """Asked by whoever starts it."""
    return "ready"


def _plain(alert: dict[str, Any]) -> Row:
    labels, annotations = json.dumps(alert["labels"]), json.dumps(alert["annotations"])
    return alert["fingerprint"], alert["startsAt"], alert["status"], labels, annotations


def _like_ours(alert: dict[str, Any]) -> Row:
    labels, annotations = alert["labels"], alert["annotations"]
    more = labels["alertname"], labels.get("severity"), annotations.get("description"), alert["generatorURL"]
    return *_plain(alert), *more


def _upsert(table: str, columns: str, row: Callable[[dict[str, Any]], Row]) -> tuple[dict[str, Any], int]:
    # In one order, or two requests with the same alerts could wait for each other.
    alerts = sorted(request.get_json()["alerts"], key=lambda alert: str(alert["fingerprint"]))
    rows = [row(alert) for alert in alerts]
    places = f"({', '.join(['%s'] * len(rows[0]))})"
    statement = (
        f"INSERT INTO {table} ({columns}) VALUES {', '.join([places] * len(rows))} "  # noqa: S608
        "ON CONFLICT (fingerprint, starts_at) DO UPDATE "
        "SET status = EXCLUDED.status, labels = EXCLUDED.labels, annotations = EXCLUDED.annotations"
    )
    connection = _pool().connect()
    try:
        direct: psycopg.Connection[Any] = connection.driver_connection  # type: ignore[assignment]
        direct.execute(statement, [value for row in rows for value in row])
        direct.commit()
    finally:
        connection.close()
    return {"accepted": len(alerts)}, 202
