"""Choices of a detector as they are asked for and answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, pre_dump, validate

from db.models.detection import DetectorChoice
from db.queries.detector_choices import selector_of
from db.queries.labels import Matcher
from db.queries.series_reads import Selector
from sensus.settings import DETECTORS
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas import selector
from web.schemas.fields import FILTER_LENGTH, NAME_LENGTH, Moment, SelectorText, Text

MOST_LABELS = 64


class ChoicesQuery(StrictSchema, PageSchema):
    """A page of choices."""


class ChoiceBody(StrictSchema):
    """Which series, by `match` or by name and labels, and the detector that is to score them."""

    detector = fields.String(required=True, validate=validate.OneOf(DETECTORS))
    match = SelectorText(metadata={"description": "A Prometheus selector with =, !=, =~, !~"})
    metric_name = Text(shortest=1, longest=NAME_LENGTH, metadata={"description": "In place of `match`"})
    labels = fields.Dict(
        keys=Text(shortest=1, longest=NAME_LENGTH),
        values=Text(longest=FILTER_LENGTH),
        validate=validate.Length(max=MOST_LABELS),
        metadata={"description": "In place of `match`: labels by their values; all must hold"},
    )

    @post_load
    def _select(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        wanted: Selector | None = data.get("match")
        by_parts = {"metric_name", "labels"} & set(data)
        if wanted is not None and by_parts:
            raise ValidationError("can't stand beside metric_name or labels; put them into the selector", "match")
        if wanted is None:
            matchers = tuple(Matcher(name, "=", value) for name, value in data.get("labels", {}).items())
            wanted = Selector(data.get("metric_name"), matchers)
        if wanted.metric_name is None and not wanted.matchers:
            raise ValidationError("is missing; SENSUS_DETECTOR says what scores all other series", "match")
        return {"detector": data["detector"], "selector": wanted}


class ChoiceAnswer(Schema):
    """One choice."""

    id = fields.Integer()
    match = fields.String(metadata={"description": "The series, as a Prometheus selector"})
    detector = fields.String(validate=validate.OneOf(DETECTORS))
    created_by = fields.String(allow_none=True)
    created_at = Moment()

    @pre_dump
    def _flatten(self, row: DetectorChoice, **_: Any) -> dict[str, Any]:
        told = {name: getattr(row, name) for name in self.fields if name != "match"}
        return {**told, "match": selector.written(selector_of(row))}


class ChoicesAnswer(Schema):
    """A page of choices, newest first: of several that mean a series the newest holds."""

    default = fields.String(metadata={"description": "What scores the series that no choice means"})
    available = fields.List(fields.String())
    items = fields.List(fields.Nested(ChoiceAnswer))
    next_cursor = fields.String(allow_none=True)
