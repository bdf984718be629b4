"""Takes samples: one transaction, then an audit entry and a knock."""

from __future__ import annotations

import uuid
from collections import Counter

from flask import Response, current_app
from flask_smorest import Blueprint
from sqlalchemy.exc import IntegrityError

from db.queries import outbox, samples
from db.queries.samples import NewSamples, SeriesGone, Stored
from db.queries.series import KnownSeries, SeriesKey
from sensus import audit, metrics, times
from web import answers, bodies
from web.access import access, caller
from web.openapi import ingest_doc
from web.request_context import request_id
from web.resources import resources
from web.schemas import ingest_metrics
from web.schemas.ingest_metrics import Batch, SampleIn, SamplesIn
from web.schemas.receipts import SampleError, SamplesReceipt

blueprint = Blueprint("ingest-metrics", __name__, url_prefix="/api/v1", description="Samples come in")

_EXTENSION = "sensus_known_series"
# A series may be deleted and a partition be missing, each once.
_TRIES = 3
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
        stored = store(batch.samples, kind="metric", facts={"batch_id": batch_id, "rejected": len(batch.refused)})
    count_refused(batch)
    return answers.accepted(
        SamplesReceipt(
            accepted=len(batch.samples),
            duplicates=len(batch.samples) - stored.samples,
            rejected=len(batch.refused),
            batch_id=batch_id,
            request_id=request_id(),
            errors=[
                SampleError(refused.index, refused.field, refused.message)
                for refused in batch.refused[: bodies.MOST_ERRORS]
            ]
            or None,
        )
    )


def store(new: NewSamples, *, kind: str, facts: dict[str, object]) -> Stored:
    """Store samples with their audit entry, in one transaction; then tell the workers."""
    known = _known_series()
    for tries_left in reversed(range(_TRIES)):
        try:
            stored = _store_once(new, known, kind, facts)
        except SeriesGone as error:
            known.forget(error.keys)
            if not tries_left:
                raise
        except IntegrityError as error:
            if not samples.partition_is_missing(error) or not tries_left:
                raise
            # The daily upkeep did not run for weeks, and a sender shall not suffer for it.
            samples.make_partitions(resources().database, retention_days=resources().settings.retention_days)
        else:
            break
    background = resources().background
    background.relay()
    background.knock_series(stored.series_ids)
    metrics.metrics_received.inc(len(new))
    metrics.samples_late.inc(stored.late)
    return stored


def count_refused(batch: Batch) -> None:
    """Tell Prometheus what was not stored, and why."""
    for reason, count in Counter(refused.reason for refused in batch.refused).items():
        metrics.samples_refused.labels(reason).inc(count)


def _store_once(new: NewSamples, known: KnownSeries, kind: str, facts: dict[str, object]) -> Stored:
    with resources().database.transaction() as session:
        stored = Stored(0, 0, ())
        made: dict[SeriesKey, int] = {}
        if len(new):
            stored, made = samples.store(session, new, known.get(new.keys))
        outbox.add(
            session,
            stream=audit.RAW,
            type=kind,
            facts={
                "accepted": len(new),
                "duplicates": len(new) - stored.samples,
                "late": stored.late,
                "series": len(new.keys),
                **facts,
            },
            request_id=request_id(),
            actor=caller().identity,
        )
    known.remember(made)
    return stored


def _known_series() -> KnownSeries:
    known = current_app.extensions.setdefault(_EXTENSION, KnownSeries())
    assert isinstance(known, KnownSeries)  # noqa: S101 (says so to mypy)
    return known
