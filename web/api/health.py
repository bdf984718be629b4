"""Is it alive, is it ready, is everything there?  And the figures of all processes."""

from __future__ import annotations

from flask import Response, current_app, jsonify
from flask_smorest import Blueprint
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from sensus import metrics
from web.probes import probes

REQUESTS = "sensus_requests"
blueprint = Blueprint("health", __name__, description="Probes and own metrics")


@blueprint.get("/health")
@blueprint.doc(summary="Every server that is needed, and whether it answers", security=[])
def health() -> Response:
    status, checks = probes().run()
    response = jsonify(
        {"status": status, "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()}}
    )
    response.status_code = 503 if status == "down" else 200
    return response


@blueprint.get("/health/live")
@blueprint.doc(summary="Whether this process answers", security=[])
def live() -> Response:
    return jsonify({"status": "ok"})


@blueprint.get("/health/ready")
@blueprint.doc(summary="Whether the database answers and has the tables of this release", security=[])
def ready() -> Response:
    problem = probes().not_ready()
    response = jsonify({"status": "ok"} if problem is None else {"status": "down", "detail": problem})
    response.status_code = 200 if problem is None else 503
    return response


@blueprint.get("/metrics")
@blueprint.doc(summary="Figures of all processes for Prometheus", security=[])
def own_metrics() -> Response:
    own: CollectorRegistry = current_app.extensions[REQUESTS]
    # Shared files hold the figures of every registry; alone, each registry answers for itself.
    registries = [metrics.registry_of_all_processes(), *([] if metrics.is_shared() else [own]), probes().gauges()]
    return Response(b"".join(generate_latest(registry) for registry in registries), content_type=CONTENT_TYPE_LATEST)
