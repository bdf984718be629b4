"""Samples as they are asked for and answered."""

from __future__ import annotations

from marshmallow import Schema, fields

from web.schemas.fields import Seconds
from web.schemas.selection import SelectionSchema

LONGEST_STEP_S = 366 * 86_400


class SamplesQuery(SelectionSchema):
    """Which samples, and whether averaged."""

    step = Seconds(
        longest=LONGEST_STEP_S,
        metadata={"description": "Answer the mean of each such stretch of time at its beginning: 60, 5m, 1h, 1d"},
    )


class SeriesSamples(Schema):
    """One series with its samples."""

    metric_name = fields.String()
    labels = fields.Dict(keys=fields.String(), values=fields.String())
    # Already plain lists of numbers; a field for each of 50,000 points would take most of the request's time.
    samples = fields.Raw(
        metadata={
            "type": "array",
            "items": {"type": "array", "items": {"type": "number", "nullable": True}},
            "description": "[Unix seconds, value] of each sample, oldest first",
        }
    )


class SamplesAnswer(Schema):
    """The series that have samples in the range."""

    series = fields.List(fields.Nested(SeriesSamples))
