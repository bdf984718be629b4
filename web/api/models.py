"""Versions of the model: which there are, which scores, and the long work that makes and judges them."""

from __future__ import annotations

import uuid
from typing import Any

from db.models.model_version import ModelVersion
from db.queries import audit, model_reads, runs
from db.queries import models as versions
from db.queries.runs import Kind
from sensus.errors import NotFound
from web import listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import client_address, request_id
from web.resources import resources
from web.schemas.models import ModelAnswer, ModelsAnswer, ModelsQuery, TaskStarted

blueprint = StrictBlueprint("models", __name__, url_prefix="/api/v1", description="Versions of the model")


@blueprint.get("/models")
@access("read")
@blueprint.arguments(ModelsQuery, location="query")
@blueprint.response(200, ModelsAnswer)
@blueprint.doc(summary="Versions with their evaluation, newest first")
def models(query: dict[str, Any]) -> dict[str, Any]:
    with resources().database.transaction() as session:
        found = model_reads.newest_first(session, limit=query["limit"] + 1, before_id=listing.before_id(query))
    return listing.answer(found, query["limit"], lambda version: (version.id,))


@blueprint.post("/models/train")
@access("admin")
@blueprint.response(202, TaskStarted)
@blueprint.doc(summary="Train a version now")
def train() -> dict[str, uuid.UUID]:
    """A training that has not ended yet is answered in place of a second one."""
    return _start("train")


@blueprint.post("/models/evaluate")
@access("admin")
@blueprint.response(202, TaskStarted)
@blueprint.doc(summary="Evaluate the version in force now")
def evaluate() -> dict[str, uuid.UUID]:
    """An evaluation that has not ended yet is answered in place of a second one."""
    return _start("evaluate")


@blueprint.post("/models/<version>/activate")
@access("admin")
@blueprint.response(200, ModelAnswer)
@blueprint.doc(summary="Let a version score from now on")
def activate(version: str) -> ModelVersion:
    """The version in force stays as it is when it is named again."""
    if "\x00" in version:
        raise NotFound("no model version has a NUL in its name")
    with resources().database.transaction() as session:
        chosen = versions.activate(session, version)
        audit.record(
            session,
            action="model_activated",
            actor=caller().identity,
            subject=f"model:{chosen.version}",
            facts={"version": chosen.version},
            request_id=request_id(),
            client_address=client_address(),
        )
    resources().background.relay()
    return chosen


def _start(kind: Kind) -> dict[str, uuid.UUID]:
    with resources().database.transaction() as session:
        run_id, _ = runs.start(session, kind, requested_by=caller().identity, request_id=request_id())
    resources().background.knock_run(kind, run_id)
    return {"task_id": run_id}
