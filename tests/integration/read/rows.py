"""Rows for the reading tests, put in as workers and senders would leave them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from db.models import Alert, AnalysisResult, ModelVersion, Series, SeriesProgress, samples, scores
from db.models.analysis import ANOMALY, LLM
from db.models.sample import STATE_CODES

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
_number = count(1)


def add_alert(session: Session, name: str = "HighLoad", **columns: Any) -> Alert:
    """A firing alert, unless told otherwise."""
    number = next(_number)
    alert = Alert(
        **{
            "fingerprint": f"{number:016x}",
            "alert_name": name,
            "severity": "warning",
            "labels": {"alertname": name, "instance": f"web-{number}"},
            "annotations": {"summary": "too much"},
            "starts_at": NOON + timedelta(seconds=number),
            "status": "firing",
            "extra": {},
            **columns,
        }
    )
    session.add(alert)
    session.flush()
    return alert


def add_series(session: Session, metric_name: str = "load", **labels: str) -> Series:
    """A series that has no sample yet."""
    digest = hashlib.sha256(json.dumps([metric_name, sorted(labels.items())]).encode()).digest()
    series = Series(metric_name=metric_name, labels=labels, digest=digest)
    session.add(series)
    session.flush()
    return series


def add_samples(session: Session, series: Series, points: Sequence[tuple[datetime, float]]) -> None:
    """Samples of a series, and the note of its newest."""
    rows = [{"series_id": series.id, "timestamp": at, "value": value} for at, value in points]
    session.execute(insert(samples), rows)
    session.merge(SeriesProgress(series_id=series.id, newest_at=max(at for at, _ in points)))
    session.flush()


def add_scores(
    session: Session, series: Series, model: ModelVersion, rows: Iterable[tuple[datetime, float, float, str]]
) -> None:
    """Scores of a series: time, score, alert, state."""
    session.execute(
        insert(scores),
        [
            {
                "series_id": series.id,
                "timestamp": at,
                "score": score,
                "alert": alert,
                "state": STATE_CODES[state],
                "model_version_id": model.id,
            }
            for at, score, alert, state in rows
        ],
    )


def add_model(session: Session, version: str = "v1", **columns: Any) -> ModelVersion:
    """A version that is not in force, unless told otherwise."""
    model = ModelVersion(
        **{
            "version": version,
            "algorithm": "isolation_forest",
            "parameters": {"trees": 100},
            "training_date": NOON,
            "artifact": b"\x00secret bytes",
            "checksum": "c0ffee",
            "library_versions": {"numpy": "2"},
            "feature_names": ["level"],
            "data_window": {"series": 1},
            "evaluation": {"f1": 0.5},
            **columns,
        }
    )
    session.add(model)
    session.flush()
    return model


def add_anomaly(session: Session, series: Series, at: datetime, score: float = 0.9, **data: Any) -> AnalysisResult:
    """A sample that was found strange."""
    return _add(
        session,
        analysis_type=ANOMALY,
        model_name="v1",
        series_id=series.id,
        sample_at=at,
        score=score,
        confidence_score=0.7,
        analysis_data={
            "value": 3.5,
            "threshold": 0.5,
            "expected_low": 1.0,
            "expected_high": 2.0,
            "alert": 0.7,
            "features": [{"name": "level", "value": 4.0, "contribution": 0.3}],
            "model_version": "v1",
            **data,
        },
    )


def add_analysis(session: Session, alert: Alert, **columns: Any) -> AnalysisResult:
    """A finished analysis by a model, unless told otherwise."""
    return _add(
        session,
        **{
            "analysis_type": LLM,
            "alert_id": alert.id,
            "status": "done",
            "outcome": "model",
            "model_name": "llama2",
            "confidence_score": 0.6,
            "analysis_data": {
                "root_cause": "A deploy",
                "mitigation": "Roll back",
                "analysis": "The load rose after it [E1].",
                "evidence": [{"id": "E1", "kind": "change", "summary": "deploy of web", "at": "2026-01-01T00:00:00Z"}],
                "cited": ["E1"],
                "reason": None,
                "cached": False,
            },
            **columns,
        },
    )


def fill(session: Session, *statements: str) -> None:
    """Run statements that fill tables, and let the planner know."""
    for statement in statements:
        session.execute(text(statement))
    session.execute(text("ANALYZE"))


def _add(session: Session, **columns: Any) -> AnalysisResult:
    result = AnalysisResult(**columns)
    session.add(result)
    session.flush()
    return result
