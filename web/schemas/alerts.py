"""Alerts as they are asked for and answered."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_dump, validate, validates_schema

from db.queries.alert_reads import AlertStory
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas.fields import NAME_LENGTH, NOTE_LENGTH, LabelIs, Moment, Text

STATUSES = ("firing", "resolved", "stale")


class AlertsQuery(StrictSchema, PageSchema):
    """Filters of a list of alerts; all must hold."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    severity = Text(shortest=1, longest=NAME_LENGTH)
    alert_name = Text(shortest=1, longest=NAME_LENGTH)
    label = fields.List(
        LabelIs(), metadata={"description": "A label's value, as name=value; may be repeated, and all must hold"}
    )
    since = Moment(metadata={"description": "Alerts that started then or later; ISO 8601 or Unix seconds"})
    until = Moment(metadata={"description": "Alerts that started then or earlier"})

    @validates_schema
    def _in_order(self, data: dict[str, Any], **_: Any) -> None:
        if "since" in data and "until" in data and data["since"] > data["until"]:
            raise ValidationError("lies after `until`", "since")


class AcknowledgementBody(StrictSchema):
    """What somebody says when acknowledging."""

    note = Text(shortest=1, longest=NOTE_LENGTH, allow_none=True)


class ChangeAnswer(Schema):
    """One change of an alert's state."""

    change = fields.String(metadata={"description": "firing, resolved, reopened, stale or acknowledged"})
    at = Moment()
    actor = fields.String(allow_none=True)
    note = fields.String(allow_none=True)
    request_id = fields.String(allow_none=True)


class AlertAnswer(Schema):
    """One episode of an alert."""

    id = fields.Integer()
    fingerprint = fields.String()
    alert_name = fields.String()
    severity = fields.String(allow_none=True, metadata={"description": "As the sender wrote it; null when missing"})
    description = fields.String(allow_none=True)
    status = fields.String(validate=validate.OneOf(STATUSES))
    labels = fields.Dict(keys=fields.String(), values=fields.String())
    annotations = fields.Dict(keys=fields.String(), values=fields.String())
    starts_at = Moment()
    ends_at = Moment(allow_none=True)
    generator_url = fields.String(allow_none=True)
    group_key = fields.String(allow_none=True)
    extra = fields.Dict(metadata={"description": "What the sender said beyond the fields that are known"})
    times_received = fields.Integer()
    last_received_at = Moment()
    acknowledged_at = Moment(allow_none=True)
    acknowledged_by = fields.String(allow_none=True)
    acknowledgement_note = fields.String(allow_none=True)
    created_at = Moment()
    incident_id = fields.Integer(allow_none=True, metadata={"description": "The incident that it belongs to"})


class AlertStoryAnswer(AlertAnswer):
    """One episode of an alert with what happened to it."""

    history = fields.List(fields.Nested(ChangeAnswer), metadata={"description": "Oldest first"})

    @pre_dump
    def _flatten(self, story: AlertStory, **_: Any) -> dict[str, Any]:
        told = {name: getattr(story.alert, name) for name in self.fields if name != "history"}
        return {**told, "history": story.history}


class AlertsAnswer(Schema):
    """A page of alerts, newest first."""

    items = fields.List(fields.Nested(AlertAnswer))
    next_cursor = fields.String(allow_none=True)
