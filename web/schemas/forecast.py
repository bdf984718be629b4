"""Forecasts as they are asked for and answered."""

from __future__ import annotations

from typing import Any, get_args

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from web.crossing import Direction
from web.schemas.fields import Moment, Number
from web.schemas.selection import SelectionSchema

LONGEST_HOURS = 48


class ForecastQuery(SelectionSchema):
    """Which series, how far ahead, and a value of interest."""

    class Meta(SelectionSchema.Meta):
        exclude = ("start", "end", "since", "until")

    horizon = fields.Integer(
        load_default=24,
        validate=validate.Range(1, LONGEST_HOURS),
        metadata={"description": "Hours ahead"},
    )
    threshold = fields.Float(
        allow_nan=False,
        metadata={"description": "A value of which you want to know when it is reached; of a counter its growth"},
    )
    direction = fields.String(
        validate=validate.OneOf(get_args(Direction)),
        metadata={
            "description": "Where it is reached, at or `above` it or `below`; else on the other side of the value"
        },
    )

    @validates_schema
    def _of_a_threshold(self, data: dict[str, Any], **_: Any) -> None:
        if "direction" in data and "threshold" not in data:
            raise ValidationError("needs a threshold", "direction")


class SeriesForecast(Schema):
    """What is expected of one series."""

    metric_name = fields.String()
    labels = fields.Dict(keys=fields.String(), values=fields.String())
    known_at = Moment(allow_none=True, metadata={"description": "Time of the newest sample that it rests on"})
    level = Number(allow_none=True, metadata={"description": "The smoothed value then"})
    per_second = fields.Boolean(
        metadata={"description": "Whether all figures are of the growth per second of a counter, not of its total"}
    )
    # Plain lists already, as with samples.
    hours = fields.Raw(
        metadata={
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}},
            "description": "[Unix seconds of its beginning, expected mean, low, high] of each hour; four of five "
            "hours are expected between low and high",
        }
    )
    time_to_threshold = Number(
        allow_none=True, metadata={"description": "Seconds from now; null when it is not reached or not asked for"}
    )
    reason = fields.String(allow_none=True, metadata={"description": "Why there is no forecast, or no such time"})


class ForecastAnswer(Schema):
    """The series that the selector means."""

    series = fields.List(fields.Nested(SeriesForecast))
