"""Long work as it is answered."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from web.schemas.fields import Moment


class TaskAnswer(Schema):
    """A training or an evaluation."""

    task_id = fields.UUID(attribute="id")
    kind = fields.String(validate=validate.OneOf(("train", "evaluate")))
    state = fields.String(validate=validate.OneOf(("pending", "running", "done", "failed")))
    progress = fields.Dict()
    result = fields.Dict()
    error = fields.String(allow_none=True)
    requested_by = fields.String(allow_none=True)
    created_at = Moment()
    started_at = Moment(allow_none=True)
    finished_at = Moment(allow_none=True)
