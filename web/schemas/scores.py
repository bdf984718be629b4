"""Scores as they are asked for and answered."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from web.pages import PageSchema
from web.schemas.selection import SelectionSchema

# Two months of a sample every five minutes are one page.
DEFAULT_SCORES = 20_000
MOST_SCORES = 50_000


class ScoresQuery(SelectionSchema, PageSchema):
    """One series, and a range; without a range all that is kept."""

    limit = fields.Integer(
        load_default=DEFAULT_SCORES,
        validate=validate.Range(1, MOST_SCORES),
        metadata={"description": "Scores of a page"},
    )


class ScoresAnswer(Schema):
    """A page of the scores of one series, oldest first."""

    metric_name = fields.String()
    labels = fields.Dict(keys=fields.String(), values=fields.String())
    # Plain lists already, as with samples.
    scores = fields.Raw(
        metadata={
            "type": "array",
            "items": {"type": "array", "items": {}},
            "description": "[Unix seconds, score, alert, state, model version] of each sample; score and alert lie "
            "between 0 and 1; state is warming_up, scoring or stale",
        }
    )
    next_cursor = fields.String(allow_none=True)
