"""Results, newest first: root-cause analyses and anomalies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, func, or_, select, tuple_
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.models.analysis import ANOMALY, LLM, AnalysisResult
from db.models.detection import AnomalyFeedback
from db.models.incident import Incident, IncidentAlert
from db.models.sample import Series
from db.queries import ungrouped
from db.queries.series_reads import Selector, conditions, faults_told
from sensus.errors import NotFound

Rows = Select[*tuple[Any, ...]]
_BY_A_MODEL = and_(AnalysisResult.status == "done", AnalysisResult.outcome.in_(("model", "insufficient")))


@dataclass(frozen=True, slots=True)
class Found:
    """A result; an anomaly has its series and what people said of it, an analysis its incident."""

    result: AnalysisResult
    metric_name: str | None = None
    labels: dict[str, str] | None = None
    verdict: str | None = None
    incident_id: int | None = None
    newest_state: int | None = None  # of the incident by now

    @property
    def is_outdated(self) -> bool:
        """Whether the incident has changed since, so that this may no longer hold."""
        state = self.result.incident_state
        return state is not None and self.newest_state is not None and self.newest_state > state

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


def by_ids(session: Session, ids: Sequence[int]) -> list[Found]:
    """These results, newest first, as far as they are there."""
    query = _with_series().where(AnalysisResult.id.in_(ids)).order_by(AnalysisResult.id.desc())
    return [Found(*row) for row in session.execute(query)] if ids else []


def of_alert(session: Session, alert_id: int) -> Found:
    """The newest that a person asked for of the alert, or a model said of it or of its incident, else its newest.

    Of an alert that fired a moment ago it is one that waits, without an id yet. Raises NotFound.
    """
    own = AnalysisResult.alert_id == alert_id
    incident_id = session.scalar(select(IncidentAlert.incident_id).where(IncidentAlert.alert_id == alert_id))
    # Looked for one by one, since each walks an index of its own.
    found = [_newest(session, own, or_(_BY_A_MODEL, AnalysisResult.automatic.is_(False)))]
    if incident_id is not None:
        found.append(_newest(session, AnalysisResult.incident_id == incident_id, _BY_A_MODEL))
    better = [each for each in found if each is not None]
    row = max(better, key=lambda each: each[0].id) if better else _newest(session, own)
    return Found(*row) if row is not None else Found(_to_come(session, alert_id))


def of_incident(session: Session, incident_id: int) -> Found | None:
    """The newest that a model said of the incident, else its newest analysis; None when there is none yet."""
    own = AnalysisResult.incident_id == incident_id
    row = _newest(session, own, _BY_A_MODEL) or _newest(session, own)
    return None if row is None else Found(*row)


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


def _newest(session: Session, *held: ColumnElement[bool]) -> Row[Any] | None:
    query = _with_series().where(AnalysisResult.analysis_type == LLM, *held)
    return session.execute(query.order_by(AnalysisResult.id.desc()).limit(1)).one_or_none()


def _to_come(session: Session, alert_id: int) -> AnalysisResult:
    alert = session.get(Alert, alert_id)
    if alert is None:
        raise NotFound(f"there is no alert {alert_id}")
    if not ungrouped.is_to_come(session, alert_id):
        raise NotFound(f"alert {alert_id} has no analysis; POST /api/v1/alerts/{alert_id}/analysis asks for one")
    return AnalysisResult(
        alert_id=alert_id, analysis_type=LLM, status="pending", automatic=True, analysis_data={},
        created_at=alert.created_at,
    )  # fmt: skip


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
    incident_id = func.coalesce(AnalysisResult.incident_id, IncidentAlert.incident_id)
    return (
        select(AnalysisResult, Series.metric_name, Series.labels, verdict, incident_id, Incident.state)
        .join(Series, Series.id == AnalysisResult.series_id, isouter=of_every_result)
        .outerjoin(IncidentAlert, IncidentAlert.alert_id == AnalysisResult.alert_id)
        .outerjoin(Incident, Incident.id == incident_id)
    )
