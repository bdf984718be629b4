"""Anomalies as they are asked for and answered."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, pre_dump, validate

from db.models.detection import VERDICTS
from db.queries.analysis_reads import Found
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas.fields import NOTE_LENGTH, Moment, Number, Text
from web.schemas.selection import SelectionSchema


class AnomaliesQuery(SelectionSchema, PageSchema):
    """Filters of a list of anomalies; all must hold."""

    one_metric = False

    min_score = fields.Float(
        validate=validate.Range(min=0, max=1), metadata={"description": "Least score, from 0 (ordinary) to 1"}
    )


class Contribution(Schema):
    """What one feature added to the score."""

    name = fields.String()
    value = Number(allow_none=True)
    contribution = Number(allow_none=True)


class AnomalyAnswer(Schema):
    """One sample that was found strange."""

    id = fields.Integer()
    metric_name = fields.String()
    labels = fields.Dict(keys=fields.String(), values=fields.String())
    timestamp = Moment(metadata={"description": "Time of the sample"})
    value = Number(allow_none=True, metadata={"description": "What was judged"})
    per_second = fields.Boolean(
        dump_default=False, metadata={"description": "Whether `value` is the growth per second of a counter"}
    )
    score = Number(allow_none=True, metadata={"description": "From 0 (ordinary) to 1 (strange), for ranking"})
    alert = Number(allow_none=True, metadata={"description": "From 0 to 1, calibrated between series, for paging"})
    threshold = Number(allow_none=True, metadata={"description": "What `alert` had to reach"})
    expected_low = Number(allow_none=True, metadata={"description": "In the unit of `value`"})
    expected_high = Number(allow_none=True)
    features = fields.List(fields.Nested(Contribution), metadata={"description": "Strongest first"})
    model_version = fields.String(allow_none=True)
    verdict = fields.String(
        allow_none=True,
        validate=validate.OneOf(VERDICTS),
        metadata={"description": "What people said of it, null when nobody did"},
    )
    created_at = Moment()

    @pre_dump
    def _flatten(self, found: Found, **_: Any) -> dict[str, Any]:
        row = found.result
        return {
            **row.analysis_data,
            "id": row.id,
            "metric_name": found.metric_name,
            "labels": found.labels,
            "timestamp": row.sample_at,
            "score": row.score,
            "verdict": found.verdict,
            "created_at": row.created_at,
        }


class AnomaliesAnswer(Schema):
    """A page of anomalies, newest sample first."""

    items = fields.List(fields.Nested(AnomalyAnswer))
    next_cursor = fields.String(allow_none=True)


class VerdictBody(StrictSchema):
    """Whether an anomaly was one."""

    verdict = fields.String(required=True, validate=validate.OneOf(VERDICTS))
    note = Text(shortest=1, longest=NOTE_LENGTH, allow_none=True)


class VerdictAnswer(Schema):
    """A verdict as it was stored."""

    id = fields.Integer()
    verdict = fields.String(validate=validate.OneOf(VERDICTS))
    note = fields.String(allow_none=True)
    timestamp = Moment(attribute="sample_at", metadata={"description": "Time of the sample"})
    actor = fields.String()
    created_at = Moment()
