"""Versions of the model with their evaluation, and how the long work on them goes."""

from __future__ import annotations

import uuid

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion, TaskRun
from sensus.errors import NotFound


def newest_first(session: Session, *, limit: int, before_id: int | None = None) -> list[ModelVersion]:
    """Up to `limit` versions, newest first, older than `before_id`; their artifacts stay in the database."""
    return list(session.scalars(newest_first_query(limit=limit, before_id=before_id)))


def newest_first_query(*, limit: int, before_id: int | None = None) -> Select[ModelVersion]:
    """The statement behind `newest_first`, so that its plan can be looked at."""
    query = select(ModelVersion).order_by(ModelVersion.id.desc()).limit(limit)
    return query if before_id is None else query.where(ModelVersion.id < before_id)


def run(session: Session, run_id: uuid.UUID) -> TaskRun:
    """The training or evaluation.  Raises NotFound."""
    found = session.get(TaskRun, run_id)
    if found is None:
        raise NotFound(f"there is no task {run_id}")
    return found
