"""How a training or an evaluation goes."""

from __future__ import annotations

import uuid

from db.models.model_version import TaskRun
from db.queries import model_reads
from web.access import access
from web.arguments import StrictBlueprint
from web.resources import resources
from web.schemas.tasks import TaskAnswer

blueprint = StrictBlueprint("tasks", __name__, url_prefix="/api/v1", description="Long work")


@blueprint.get("/tasks/<uuid:task_id>")
@access("read")
@blueprint.response(200, TaskAnswer)
@blueprint.doc(summary="State of a training or an evaluation")
def task(task_id: uuid.UUID) -> TaskRun:
    with resources().database.transaction() as session:
        return model_reads.run(session, task_id)
