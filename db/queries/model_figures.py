"""Which model is in force, how good was it found to be, and when was it last looked at?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models.access import Installation
from db.models.model_version import ModelVersion, TaskRun

_KINDS = ("train", "evaluate")


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """The version in force, None when there is none yet, and the end of the newest run of each kind."""

    version: str | None
    algorithm: str
    trained_at: datetime | None
    evaluation: Mapping[str, float]  # every figure of the newest evaluation that is a number
    last_runs: Mapping[str, datetime]  # the beginning of the installation where none came to its end


def read(session: Session) -> ModelFigures:
    """What is known now."""
    row = session.execute(
        select(ModelVersion.version, ModelVersion.algorithm, ModelVersion.training_date, ModelVersion.evaluation).where(
            ModelVersion.is_active
        )
    ).one_or_none()
    installed = func.coalesce(select(func.min(Installation.created_at)).scalar_subquery(), func.now())
    ended = session.execute(
        select(
            *(
                func.coalesce(
                    select(func.max(TaskRun.finished_at))
                    .where(TaskRun.kind == kind, TaskRun.state == "done")
                    .scalar_subquery(),
                    installed,
                )
                for kind in _KINDS
            )
        )
    ).one()
    last_runs = dict(zip(_KINDS, ended, strict=True))
    if row is None:
        return ModelFigures(None, "", None, {}, last_runs)
    return ModelFigures(row.version, row.algorithm, row.training_date, _numbers(row.evaluation), last_runs)


def _numbers(evaluation: Mapping[str, object]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in evaluation.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
