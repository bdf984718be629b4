"""Versions of the model: which there are, which scores, and the long work that makes and judges them."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion
from db.queries import model_reads, runs, standings
from db.queries import models as versions
from db.queries.runs import Kind
from sensus.errors import NotFound
from web import acts, listing
from web.access import access, caller
from web.arguments import StrictBlueprint
from web.request_context import request_id
from web.resources import resources
from web.schemas.models import ModelAnswer, ModelsAnswer, ModelsQuery, RollbackQuery, TaskStarted

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
@blueprint.doc(summary="Measure the versions that score now, and decide on their challengers")
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
        _record(session, "model_activated", chosen)
    resources().background.relay()
    return chosen


@blueprint.post("/models/<version>/challenge")
@access("admin")
@blueprint.response(200, ModelAnswer)
@blueprint.doc(summary="Let a version score in the shadow of the one in force")
def challenge(version: str) -> ModelVersion:
    """It takes the place of the present challenger, and is promoted by an evaluation that finds it no worse."""
    if "\x00" in version:
        raise NotFound("no model version has a NUL in its name")
    with resources().database.transaction() as session:
        chosen = session.get_one(ModelVersion, standings.challenge(session, version).id, populate_existing=True)
        _record(session, "model_challenges", chosen)
    resources().background.relay()
    return chosen


@blueprint.post("/models/rollback")
@access("admin")
@blueprint.arguments(RollbackQuery, location="query")
@blueprint.response(200, ModelAnswer)
@blueprint.doc(summary="Go back to the version that was in force before")
def rollback(query: dict[str, Any]) -> ModelVersion:
    """The version that is withdrawn is never gone back to; another rollback goes further back."""
    with resources().database.transaction() as session:
        chosen = versions.rollback(session, query.get("detector") or resources().settings.detector)
        _record(session, "model_rolled_back", chosen)
    resources().background.relay()
    return chosen


def _record(session: Session, action: str, chosen: ModelVersion) -> None:
    acts.record(session, action, subject=f"model:{chosen.version}", facts={"version": chosen.version})


def _start(kind: Kind) -> dict[str, uuid.UUID]:
    with resources().database.transaction() as session:
        run_id, _ = runs.start(session, kind, requested_by=caller().identity, request_id=request_id())
    resources().background.knock_run(kind, run_id)
    return {"task_id": run_id}
