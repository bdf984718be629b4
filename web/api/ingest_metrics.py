"""Takes samples as JSON, one or many."""

from __future__ import annotations

import uuid
from collections import Counter

from flask import Response
from flask_smorest import Blueprint

from sensus import metrics, times
from web import answers, bodies, intake
from web.access import access
from web.openapi import ingest_doc
from web.request_context import request_id
from web.resources import resources
from web.schemas import ingest_metrics
from web.schemas.ingest_metrics import SampleIn, SamplesIn
from web.schemas.receipts import SampleError, SamplesReceipt

blueprint = Blueprint("ingest-metrics", __name__, url_prefix="/api/v1", description="Samples come in")

_EXAMPLE = {
    "metrics": [
        {
            "metric_name": "node_load1",
            "metric_value": 0.42,
            "labels": {"instance": "db-1:9100"},
            "timestamp": "2026-01-31T12:00:00Z",
        }
    ]
}


@blueprint.post("/metrics")
@access("write", limit="metrics")
@blueprint.doc(**ingest_doc("Send samples", [SampleIn, SamplesIn], SamplesReceipt, example=_EXAMPLE))
def receive_samples() -> Response:
    """One sample, a list, or `{"metrics": [...]}`; at most 10,000.  Each that can't be stored is told of."""
    with metrics.timed(metrics.processing_duration.labels("metrics")):
        batch = ingest_metrics.read(
            bodies.read_json_bytes(), times.now(), retention_days=resources().settings.retention_days
        )
        batch_id = uuid.uuid4().hex
        receipt = intake.store(batch.samples, refused=len(batch.refused), facts={"batch_id": batch_id})
    intake.count_refused(Counter(refused.reason for refused in batch.refused))
    errors = [SampleError(refused.index, refused.field, refused.message) for refused in batch.refused]
    if receipt.left_out:
        indexes = batch.indexes()
        errors += [SampleError(indexes[number], "labels", receipt.why) for number in receipt.left_out]
        errors.sort(key=lambda error: error.index)
    return answers.accepted(
        SamplesReceipt(
            accepted=receipt.accepted,
            duplicates=receipt.duplicates,
            rejected=len(errors),
            batch_id=batch_id,
            request_id=request_id(),
            errors=errors[: bodies.MOST_ERRORS] or None,
        )
    )
