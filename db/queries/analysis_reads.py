"""Results, newest first: root-cause analyses and anomalies."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Select, bindparam, select, tuple_
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.models.analysis import ANOMALY, LLM, AnalysisResult
from db.models.detection import AnomalyFeedback
from db.models.sample import Series
from db.queries.series_reads import Selector, conditions, faults_told
from sensus.errors import NotFound

Rows = Select[AnalysisResult, str | None, dict[str, str] | None, str | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A result; that of an anomaly with its series, and with what people said of it."""

    result: AnalysisResult
    metric_name: str | None
    labels: dict[str, str] | None
    verdict: str | None = None

    @property
    def sampled_at(self) -> datetime:
        """When the strange sample was taken.  Raises ValueError for a result that is no anomaly."""
        if self.result.sample_at is None:
            raise ValueError("only an anomaly has a sample")
        return self.result.sample_at


@dataclass(frozen=True, slots=True)
class AnomalyFilter:
    """What the anomalies of a list have in common; `since` and `until` bound the sample's time, both included."""

    series: Selector = field(default_factory=Selector)
    since: datetime | None = None
    until: datetime | None = None
    min_score: float | None = None


def get(session: Session, result_id: int) -> Found:
    """The result.  Raises NotFound."""
    row = session.execute(_with_series().where(AnalysisResult.id == result_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no analysis {result_id}")
    return Found(*row)


def of_alert(session: Session, alert_id: int) -> Found:
    """The newest analysis of an alert.  Raises NotFound."""
    query = (
        _with_series()
        .where(AnalysisResult.alert_id == alert_id, AnalysisResult.analysis_type == LLM)
        .order_by(AnalysisResult.id.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        known = session.scalar(select(Alert.id).where(Alert.id == alert_id))
        raise NotFound(
            f"there is no alert {alert_id}"
            if known is None
            else f"alert {alert_id} has no analysis; POST /api/v1/alerts/{alert_id}/analysis asks for one"
        )
    return Found(*row)


def newest_first(
    session: Session, analysis_type: str | None, *, limit: int, before_id: int | None = None
) -> list[Found]:
    """Up to `limit` results of a type, or of both, in the order they came, newest first, older than `before_id`."""
    query = newest_first_query(analysis_type, limit=limit, before_id=before_id)
    return [Found(*row) for row in session.execute(query)]


def newest_first_query(analysis_type: str | None, *, limit: int, before_id: int | None = None) -> Rows:
    """The statement behind `newest_first`, so that its plan can be looked at."""
    query = _with_series().order_by(AnalysisResult.id.desc()).limit(limit)
    if analysis_type is not None:
        query = query.where(_is_of(analysis_type))
    return query if before_id is None else query.where(AnalysisResult.id < before_id)


def anomalies(
    session: Session, wanted: AnomalyFilter, *, limit: int, before: tuple[datetime, int] | None = None
) -> list[Found]:
    """Up to `limit` anomalies, newest sample first; `before` is the time and id of the last one of the page before.

    Raises Invalid for a regular expression that cannot be used.
    """
    with faults_told():
        return [Found(*row) for row in session.execute(anomalies_query(wanted, limit=limit, before=before))]


def anomalies_query(wanted: AnomalyFilter, *, limit: int, before: tuple[datetime, int] | None = None) -> Rows:
    """The statement behind `anomalies`, so that its plan can be looked at."""
    query = (
        _with_series(of_every_result=False)
        .where(_is_of(ANOMALY))
        .where(*conditions(wanted.series))
        .order_by(AnalysisResult.sample_at.desc(), AnalysisResult.id.desc())
        .limit(limit)
    )
    if wanted.since is not None:
        query = query.where(AnalysisResult.sample_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AnalysisResult.sample_at <= wanted.until)
    if wanted.min_score is not None:
        query = query.where(AnalysisResult.score >= wanted.min_score)
    if before is not None:
        query = query.where(tuple_(AnalysisResult.sample_at, AnalysisResult.id) < before)
    return query


def _is_of(analysis_type: str) -> ColumnElement[bool]:
    # Written into the statement, since the planner takes a partial index only for a constant it can see.
    return AnalysisResult.analysis_type == bindparam("analysis_type", analysis_type, literal_execute=True)


def _with_series(*, of_every_result: bool = True) -> Rows:
    # The newest verdict on the sample, which one step down an index finds.
    verdict = (
        select(AnomalyFeedback.verdict)
        .where(
            AnomalyFeedback.series_id == AnalysisResult.series_id,
            AnomalyFeedback.sample_at == AnalysisResult.sample_at,
        )
        .order_by(AnomalyFeedback.id.desc())
        .limit(1)
        .correlate(AnalysisResult)
        .scalar_subquery()
    )
    series = select(AnalysisResult, Series.metric_name, Series.labels, verdict)
    return series.join(Series, Series.id == AnalysisResult.series_id, isouter=of_every_result)
