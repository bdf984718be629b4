"""Analyses as they are asked for, judged and answered."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, pre_dump, validate

from db.models.analysis import ANOMALY, LLM
from db.queries.analysis_reads import Found
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas.anomalies import AnomalyAnswer
from web.schemas.fields import NOTE_LENGTH, Moment, Number, Text, TrueOrFalse

STATUSES = ("pending", "running", "done", "failed")
OUTCOMES = ("model", "evidence_only", "insufficient")


class LatestQuery(StrictSchema, PageSchema):
    """Which of the newest results."""

    analysis_type = fields.String(validate=validate.OneOf((ANOMALY, LLM)))


class FeedbackBody(StrictSchema):
    """A person's judgement of an analysis."""

    helpful = TrueOrFalse(required=True)
    root_cause = Text(
        shortest=1, longest=NOTE_LENGTH, allow_none=True, metadata={"description": "What it was in truth"}
    )
    note = Text(shortest=1, longest=NOTE_LENGTH, allow_none=True)


class FeedbackAnswer(Schema):
    """A judgement as it was stored."""

    id = fields.Integer()
    analysis_id = fields.Integer()
    helpful = fields.Boolean()
    root_cause = fields.String(allow_none=True)
    note = fields.String(allow_none=True)
    actor = fields.String()
    created_at = Moment()


class AnalysisAnswer(Schema):
    """One root-cause analysis, or one anomaly, which then says more under `anomaly`."""

    id = fields.Integer(
        allow_none=True, metadata={"description": "null while no worker has looked at an alert that came a moment ago"}
    )
    alert_id = fields.Integer(allow_none=True)
    incident_id = fields.Integer(allow_none=True, metadata={"description": "The incident that it is about, or part of"})
    incident_state = fields.Integer(
        allow_none=True, metadata={"description": "Of an analysis of a whole incident: the state it was made of"}
    )
    outdated = fields.Boolean(metadata={"description": "Whether the incident has changed since"})
    analysis_type = fields.String(validate=validate.OneOf((ANOMALY, LLM)))
    status = fields.String(validate=validate.OneOf(STATUSES))
    outcome = fields.String(
        allow_none=True, validate=validate.OneOf(OUTCOMES), metadata={"description": "What the answer rests on"}
    )
    model_name = fields.String(allow_none=True)
    root_cause = fields.String(allow_none=True)
    mitigation = fields.String(allow_none=True)
    analysis = fields.String(allow_none=True)
    # Raw, since each kind of evidence has facts of its own, and none may be lost on the way out.
    evidence = fields.Raw(
        metadata={
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("id", "kind", "summary")},
                "additionalProperties": True,
            },
        }
    )
    suspect = fields.String(allow_none=True, metadata={"description": "The service that is held to be the cause"})
    cited = fields.List(fields.String(), metadata={"description": "Ids of the evidence that the answer rests on"})
    confidence = Number(allow_none=True, metadata={"description": "From 0 to 1"})
    reason = fields.String(allow_none=True, metadata={"description": "Why there is no better answer"})
    cached = fields.Boolean(metadata={"description": "Whether an earlier answer to the same question was taken"})
    automatic = fields.Boolean(metadata={"description": "Whether the alert itself asked for it"})
    requested_by = fields.String(allow_none=True)
    created_at = Moment()
    finished_at = Moment(allow_none=True)
    anomaly = fields.Nested(AnomalyAnswer, allow_none=True)

    @pre_dump
    def _flatten(self, found: Found, **_: Any) -> dict[str, Any]:
        row = found.result
        # The row of an anomaly keeps its own facts in `analysis_data`, which are told under `anomaly`.
        said = row.analysis_data if row.analysis_type == LLM else {}
        columns = {name: getattr(row, name) for name in self.fields if hasattr(row, name)}
        return {
            **{name: said.get(name) for name in ("root_cause", "mitigation", "analysis", "reason", "suspect")},
            "evidence": said.get("evidence", []),
            "cited": said.get("cited", []),
            "cached": said.get("cached", False),
            **columns,
            "incident_id": found.incident_id,
            "outdated": found.is_outdated or bool(said.get("outdated")),
            "confidence": row.confidence_score,
            "anomaly": found if row.analysis_type == ANOMALY else None,
        }


class AnalysesAnswer(Schema):
    """A page of results, newest first."""

    items = fields.List(fields.Nested(AnalysisAnswer))
    next_cursor = fields.String(allow_none=True)
