"""What is stored of samples that were scored: their figures, those of the shadow, and the anomalies among them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from db import binary, direct
from db.models.analysis import ANOMALY
from sensus import times

_SCORES = "COPY scores (series_id, timestamp, score, alert, state, model_version_id) FROM STDIN (FORMAT binary)"
_SHADOW = "COPY shadow_scores (series_id, timestamp, score, alert, model_version_id) FROM STDIN (FORMAT binary)"


@dataclass(frozen=True, slots=True)
class NewScore:
    """The figures of one sample as they are stored."""

    at: datetime
    score: float
    alert: float
    state: int


@dataclass(frozen=True, slots=True)
class InShadow:
    """What the version in the shadow said of the same samples, in their order, and what it remembers now."""

    version_id: int
    scores: Sequence[float]
    alerts: Sequence[float]
    memory: bytes


@dataclass(frozen=True, slots=True)
class NewAnomaly:
    """An anomaly as it is stored; `data` is what `analysis_data` holds."""

    at: datetime
    score: float
    alert: float
    data: dict[str, Any]


# Of a series the figures of its samples, in order of time, and what the shadow said of the same.
SeriesScores = tuple[int, Sequence[NewScore], InShadow | None]


def copy(session: Session, series: Sequence[SeriesScores], model_version_id: int) -> None:
    """Store the figures of samples that have none yet; `model_version_id` is the version whose figures count."""
    rows = [(series_id, row) for series_id, scores, _ in series for row in scores]
    if not rows:
        return
    ids = [series_id for series_id, _ in rows]
    moments = binary.moments([times.to_microseconds(row.at) for _, row in rows])
    columns = (
        ids,
        moments,
        [row.score for _, row in rows],
        [row.alert for _, row in rows],
        [row.state for _, row in rows],
        [model_version_id] * len(rows),
    )
    direct.copy(session, _SCORES, binary.rows("qqddhq", *columns))
    _copy_shadow(session, series)


def _copy_shadow(session: Session, series: Sequence[SeriesScores]) -> None:
    rows = [
        (series_id, row.at, score, alert, shadow.version_id)
        for series_id, scores, shadow in series
        if shadow is not None
        for row, score, alert in zip(scores, shadow.scores, shadow.alerts, strict=True)
    ]
    if not rows:
        return
    columns = (
        [series_id for series_id, *_ in rows],
        binary.moments([times.to_microseconds(at) for _, at, *_ in rows]),
        [score for _, _, score, *_ in rows],
        [alert for _, _, _, alert, _ in rows],
        [version_id for *_, version_id in rows],
    )
    direct.copy(session, _SHADOW, binary.rows("qqddq", *columns))


def add_anomalies(session: Session, series: Sequence[tuple[int, Sequence[NewAnomaly]]], algorithm: str) -> None:
    """Store the anomalies of series as results that people see."""
    rows = [
        {
            "series": series_id,
            "at": anomaly.at,
            "score": anomaly.score,
            "alert": anomaly.alert,
            "model": algorithm,
            "data": json.dumps(anomaly.data),
        }
        for series_id, anomalies in series
        for anomaly in anomalies
    ]
    if rows:
        session.execute(
            text(
                f"""
                INSERT INTO ai_analysis_results
                    (analysis_type, status, model_name, analysis_data, confidence_score,
                     series_id, sample_at, score, finished_at)
                VALUES ('{ANOMALY}', 'done', :model, CAST(:data AS jsonb), :alert, :series, :at, :score, now())
                ON CONFLICT (series_id, sample_at) WHERE analysis_type = '{ANOMALY}' DO NOTHING
                """  # noqa: S608 - constants of ours
            ),
            rows,
        )
