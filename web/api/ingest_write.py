"""Takes what Prometheus writes to a remote store, protocol version 1.0."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, request
from flask_smorest import Blueprint
from werkzeug.exceptions import UnsupportedMediaType

from sensus import metrics, times
from web import bodies, compressed, intake
from web.access import access
from web.openapi import raw_doc
from web.resources import resources
from web.schemas import remote_write

blueprint = Blueprint("ingest-write", __name__, url_prefix="/api/v1", description="Prometheus writes samples")

TYPE = "application/x-protobuf"
MESSAGE = "prometheus.WriteRequest"
_DOC = raw_doc(
    "Send samples as Prometheus remote_write does",
    {TYPE: "A `prometheus.WriteRequest` in one block of snappy (Content-Encoding: snappy), version 0.1.0"},
    HTTPStatus.NO_CONTENT,
    "Committed in the database, but for samples that can never be stored; "
    "`X-Prometheus-Remote-Write-Samples-Written` tells how many are",
)


@blueprint.post("/write")
@access("write", limit="metrics")
@blueprint.doc(**_DOC)
def receive_write() -> Response:
    """Samples of Prometheus remote_write 1.0, at most 50,000.  A sample that can't be stored is counted, and left out:
    Prometheus gives up the whole request on 4xx, and sends it for ever on 5xx.
    """
    with metrics.timed(metrics.processing_duration.labels("remote_write")):
        _check_headers()
        settings = resources().settings
        message = compressed.snappy_block(
            bodies.whole(request), most=settings.max_body_bytes * compressed.TIMES_THE_BODY
        )
        taken = remote_write.read(message, times.now(), retention_days=settings.retention_days)
        written = taken.sent - taken.refused.total()
        # Metadata come in requests of their own, and leave nothing to store.
        if taken.sent or taken.ignored:
            written -= len(intake.store_taken(taken).left_out)
    # A sender that knows these, from protocol 2.0, sees at its own end what is not stored.
    return Response(
        status=HTTPStatus.NO_CONTENT,
        headers={
            "X-Prometheus-Remote-Write-Samples-Written": str(written),
            "X-Prometheus-Remote-Write-Histograms-Written": "0",
            "X-Prometheus-Remote-Write-Exemplars-Written": "0",
        },
    )


def _check_headers() -> None:
    """415 for another protocol; a sender that says nothing is taken at its word, as Prometheus does itself."""
    kind = request.mimetype
    message = request.mimetype_params.get("proto", MESSAGE)
    if (kind and kind != TYPE) or message != MESSAGE:
        raise UnsupportedMediaType(f"send {TYPE}; proto={MESSAGE} (remote write 1.0), not {request.content_type}")
    encoding = request.headers.get("Content-Encoding") or "snappy"
    if encoding != "snappy":
        raise UnsupportedMediaType(f"send Content-Encoding: snappy, not {encoding}")
