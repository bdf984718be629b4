"""Versions of the model as they are answered."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from sensus.settings import DETECTORS
from web.arguments import StrictSchema
from web.pages import PageSchema
from web.schemas.fields import Moment


class ModelsQuery(StrictSchema, PageSchema):
    """A page of versions."""


class RollbackQuery(StrictSchema):
    """Whose version is to be withdrawn."""

    detector = fields.String(
        validate=validate.OneOf(DETECTORS), metadata={"description": "By default that of the settings"}
    )


class ModelAnswer(Schema):
    """One version; its bytes stay in the database."""

    id = fields.Integer()
    version = fields.String()
    algorithm = fields.String()
    parameters = fields.Dict()
    training_date = Moment()
    role = fields.String(
        validate=validate.OneOf(("champion", "challenger", "former", "stored")),
        metadata={
            "description": "champion: scores at present; challenger: scores in its shadow; former: did so once, and a "
            "rollback returns to it"
        },
    )
    is_active = fields.Boolean(metadata={"description": "Whether it scores at present"})
    activated_at = Moment(allow_none=True)
    challenger_since = Moment(allow_none=True)
    shadow_share = fields.Float(
        allow_none=True, metadata={"description": "Share of the series that it scored in the shadow"}
    )
    checksum = fields.String()
    feature_names = fields.List(fields.String())
    library_versions = fields.Dict()
    data_window = fields.Dict(metadata={"description": "The history that it was trained on"})
    evaluation = fields.Dict(metadata={"description": "How good it is, as far as that was measured"})
    drift = fields.Dict(
        metadata={"description": "How far what is scored lately has moved away from what it was trained on"}
    )
    created_at = Moment()


class ModelsAnswer(Schema):
    """A page of versions, newest first."""

    items = fields.List(fields.Nested(ModelAnswer))
    next_cursor = fields.String(allow_none=True)


class TaskStarted(Schema):
    """Where to look how it goes: GET /api/v1/tasks/{task_id}."""

    task_id = fields.UUID()
