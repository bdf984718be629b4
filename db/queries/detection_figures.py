"""Which models score, how good were they found to be, and how far have the data moved away from them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """One version that scores."""

    version: str
    algorithm: str
    role: str  # champion or challenger
    trained_at: datetime
    evaluation: Mapping[str, float]  # every figure of the newest evaluation that is a number
    drift: Mapping[str, float]  # by feature; empty where it was not measured


def read(session: Session) -> list[DetectionFigures]:
    """What is known now of every version that scores."""
    found = session.scalars(
        select(ModelVersion)
        .where(ModelVersion.is_active | ModelVersion.is_challenger)
        .order_by(ModelVersion.algorithm, ModelVersion.id)
    )
    return [
        DetectionFigures(
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
