"""Incidents as they are asked for and answered."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_dump, validate, validates_schema

from db.queries.incident_reads import IncidentStory, JoinedAlert, Sized
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas.alerts import AlertAnswer
from web.schemas.analyses import AnalysisAnswer, FeedbackAnswer
from web.schemas.anomalies import AnomalyAnswer
from web.schemas.fields import NAME_LENGTH, Moment, Number, Text

STATUSES = ("open", "acknowledged", "resolved")


class IncidentsQuery(StrictSchema, PageSchema):
    """Filters of a list of incidents; all must hold."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    severity = Text(shortest=1, longest=NAME_LENGTH)
    service = Text(shortest=1, longest=NAME_LENGTH)
    since = Moment(metadata={"description": "Incidents that began then or later; ISO 8601 or Unix seconds"})
    until = Moment(metadata={"description": "Incidents that began then or earlier"})

    @validates_schema
    def _in_order(self, data: dict[str, Any], **_: Any) -> None:
        if "since" in data and "until" in data and data["since"] > data["until"]:
            raise ValidationError("lies after `until`", "since")


class MembersQuery(StrictSchema, PageSchema):
    """Which page of the members."""


class SuspectAnswer(Schema):
    """A service that may be the cause, and the metric that speaks most for it."""

    service = fields.String()
    metric = fields.String(allow_none=True)
    score = Number()
    confidence = Number(metadata={"description": "From 0 to 1: how likely it is the cause, calibrated on known cases"})


class EntryAnswer(Schema):
    """One line of an incident's timeline."""

    change = fields.String()
    at = Moment()
    actor = fields.String(allow_none=True)
    note = fields.String(allow_none=True)
    facts = fields.Dict(metadata={"description": "What it is about, such as the id of an alert"})
    request_id = fields.String(allow_none=True)


class NotificationAnswer(Schema):
    """A state of an incident that people are told of, at one target."""

    id = fields.Integer()
    target = fields.String(metadata={"description": "The kind of its URL in SENSUS_NOTIFY_URLS, and its number"})
    incident_state = fields.Integer()
    analysis_id = fields.Integer(allow_none=True)
    status = fields.String(validate=validate.OneOf(("waiting", "sent", "skipped", "failed")))
    attempt = fields.Integer(metadata={"description": "How often it was tried"})
    next_try_at = Moment(metadata={"description": "While it waits"})
    tried_at = Moment(allow_none=True)
    sent_at = Moment(allow_none=True)
    error = fields.String(allow_none=True, metadata={"description": "Of the latest try, or why it is skipped"})
    created_at = Moment()


class IncidentAnswer(Schema):
    """Alerts and anomalies that belong together."""

    id = fields.Integer()
    status = fields.String(validate=validate.OneOf(STATUSES))
    title = fields.String()
    summary = fields.String()
    severity = fields.String(allow_none=True, metadata={"description": "The worst of its alerts, as sent"})
    opened_at = Moment()
    active_since = Moment(metadata={"description": "When its present outbreak began, after its latest end"})
    last_activity_at = Moment()
    resolved_at = Moment(allow_none=True)
    reopened = fields.Integer(metadata={"description": "How often it was open again after its end"})
    acknowledged_at = Moment(allow_none=True)
    acknowledged_by = fields.String(allow_none=True)
    acknowledgement_note = fields.String(allow_none=True)
    state = fields.Integer(metadata={"description": "Grows with each material change; each state is analysed once"})
    labels = fields.Dict(
        keys=fields.String(), values=fields.String(), metadata={"description": "What all its alerts have in common"}
    )
    services = fields.List(fields.String())
    alert_names = fields.List(fields.String())
    alert_count = fields.Integer()
    anomaly_count = fields.Integer()
    suspects = fields.List(fields.Nested(SuspectAnswer), metadata={"description": "Best first"})
    confirmed_cause = fields.String(allow_none=True, metadata={"description": "What a person said that it was"})
    confirmed_by = fields.String(allow_none=True)
    confirmed_at = Moment(allow_none=True)
    lead_alert_id = fields.Integer(allow_none=True)
    merged_into = fields.Integer(
        allow_none=True, metadata={"description": "The incident that this one turned out to be"}
    )
    created_at = Moment()

    @pre_dump
    def _flatten(self, given: Sized | IncidentStory, **_: Any) -> dict[str, Any]:
        sized = given.sized if isinstance(given, IncidentStory) else given
        told = {name: getattr(sized.incident, name) for name in self.fields if hasattr(sized.incident, name)}
        told |= {"alert_count": sized.alert_count, "anomaly_count": sized.anomaly_count}
        if isinstance(given, IncidentStory):
            told |= {
                "alerts": given.alerts,
                "alert_ids": given.alert_ids,
                "anomalies": given.anomalies,
                "timeline": given.timeline,
                "analysis": given.analysis,
                "feedback": given.feedback,
                "notifications": given.notifications,
            }
        return told


class MemberAnswer(AlertAnswer):
    """An alert of an incident."""

    joined_at = Moment()
    reason = fields.String(metadata={"description": "Why it belongs there"})
    strength = Number(metadata={"description": "How strong the reason is, from 0 to 1"})

    @pre_dump
    def _with_reason(self, joined: JoinedAlert, **_: Any) -> dict[str, Any]:
        told = {name: getattr(joined.alert, name) for name in self.fields if hasattr(joined.alert, name)}
        return {**told, "joined_at": joined.joined_at, "reason": joined.reason, "strength": joined.strength}


class IncidentStoryAnswer(IncidentAnswer):
    """An incident with its members, its timeline and what is known of its cause."""

    alerts = fields.List(
        fields.Nested(MemberAnswer), metadata={"description": "Those that came last first, 500 at most"}
    )
    alert_ids = fields.List(fields.Integer(), metadata={"description": "Of all its alerts, 10,000 at most"})
    anomalies = fields.List(fields.Nested(AnomalyAnswer), metadata={"description": "Newest first, 500 at most"})
    timeline = fields.List(fields.Nested(EntryAnswer), metadata={"description": "Oldest first, the newest 500"})
    analysis = fields.Nested(AnalysisAnswer, allow_none=True)
    feedback = fields.List(fields.Nested(FeedbackAnswer), metadata={"description": "Newest first"})
    notifications = fields.List(
        fields.Nested(NotificationAnswer),
        metadata={"description": "Who is told of it; the newest state first, 500 at most"},
    )


class IncidentsAnswer(Schema):
    """A page of incidents, newest first."""

    items = fields.List(fields.Nested(IncidentAnswer))
    next_cursor = fields.String(allow_none=True)


class MembersAnswer(Schema):
    """A page of the alerts of an incident, those that came last first."""

    items = fields.List(fields.Nested(MemberAnswer))
    next_cursor = fields.String(allow_none=True)
