"""Which models score, how good were they found to be, how far have the data moved away, and when was that looked at?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models.access import Installation
from db.models.model_version import ModelVersion, TaskRun

_KINDS = ("train", "evaluate")


@dataclass(frozen=True, slots=True)
class ScoringVersion:
    """One version that scores."""

    version: str
    algorithm: str
    role: str  # champion or challenger
    trained_at: datetime
    evaluation: Mapping[str, float]  # every figure of the newest evaluation that is a number
    drift: Mapping[str, float]  # by feature; empty where it was not measured


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """The versions that score, and the end of the newest run of each kind."""

    scoring: Sequence[ScoringVersion]
    last_runs: Mapping[str, datetime]  # the beginning of the installation where none came to its end


def read(session: Session) -> ModelFigures:
    """What is known now."""
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
    return ModelFigures(_scoring(session), last_runs)


def _scoring(session: Session) -> list[ScoringVersion]:
    found = session.scalars(
        select(ModelVersion)
        .where(ModelVersion.is_active | ModelVersion.is_challenger)
        .order_by(ModelVersion.algorithm, ModelVersion.id)
    )
    return [
        ScoringVersion(
            version=row.version,
            algorithm=row.algorithm,
            role=row.role,
            trained_at=row.training_date,
            evaluation=_numbers(row.evaluation),
            drift=_numbers(row.drift.get("psi", {})),
        )
        for row in found
    ]


def _numbers(figures: Mapping[str, object]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
