"""The API as one Flask application: what it holds, what it serves, what is on every response."""

from __future__ import annotations

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics

from sensus import tracing
from sensus.settings import Settings
from web import access, openapi, overload, probes, request_context
from web.api import (
    alerts,
    analyses,
    anomalies,
    audit,
    auth,
    detectors,
    forecast,
    health,
    incidents,
    ingest_alerts,
    ingest_changes,
    ingest_events,
    ingest_metrics,
    ingest_otlp,
    ingest_write,
    keys,
    metrics,
    models,
    scores,
    tasks,
    topology,
    users,
)
from web.resources import open_resources

# In the order of the document: sending, reading, operating.
BLUEPRINTS = (
    ingest_alerts.blueprint,
    ingest_metrics.blueprint,
    ingest_write.blueprint,
    ingest_otlp.blueprint,
    ingest_events.blueprint,
    ingest_changes.blueprint,
    incidents.blueprint,
    alerts.blueprint,
    analyses.blueprint,
    anomalies.blueprint,
    topology.blueprint,
    metrics.blueprint,
    scores.blueprint,
    forecast.blueprint,
    models.blueprint,
    detectors.blueprint,
    tasks.blueprint,
    auth.blueprint,
    users.blueprint,
    keys.blueprint,
    audit.blueprint,
    health.blueprint,
)

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def create_app(settings: Settings) -> Flask:
    """A complete application.  Nothing is connected and no thread runs before the first request."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # Fields stand in the order in which we write them.
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the provider's base class does not know it
    tracing.configure(settings.otlp_endpoint, "sensus-web")
    opened = open_resources(app, settings)
    probes.install(app, opened)
    app.extensions[health.REQUESTS] = _count_requests(app)
    request_context.install(app)
    overload.install(app)
    app.after_request(_guard)
    access.install(app, opened)
    api = openapi.install(app)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    return app


def _count_requests(app: Flask) -> CollectorRegistry:
    # A registry of its own, because a second application in this process would name the same metrics again.
    registry = CollectorRegistry()
    PrometheusMetrics(app, path=None, registry=registry, group_by="url_rule", excluded_paths=["/metrics", "/health.*"])
    return registry


def _guard(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response
