"""Which alerts, newest first, and what has happened to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, with_expression

from db.models.alert import Alert, AlertHistory
from db.models.incident import IncidentAlert
from db.queries.labels import Matcher, condition
from sensus.errors import NotFound

_WITH_INCIDENT = with_expression(
    Alert.incident_id,
    select(IncidentAlert.incident_id).where(IncidentAlert.alert_id == Alert.id).scalar_subquery(),
)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """What the alerts of a list have in common; `since` and `until` bound the start of the alert, both included."""

    status: str | None = None
    severity: str | None = None
    alert_name: str | None = None
    labels: tuple[Matcher, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertStory:
    """An alert with each change of its state, oldest first."""

    alert: Alert
    history: list[AlertHistory]


def newest_first(session: Session, wanted: AlertFilter, *, limit: int, before_id: int | None = None) -> list[Alert]:
    """Up to `limit` alerts in the order in which they were first stored, newest first, older than `before_id`."""
    return list(session.scalars(newest_first_query(wanted, limit=limit, before_id=before_id)))


def newest_first_query(wanted: AlertFilter, *, limit: int, before_id: int | None = None) -> Select[Alert]:
    """The statement behind `newest_first`, so that its plan can be looked at."""
    # The id is the order of arrival and never changes, so pages neither repeat nor skip an alert that was there.
    query = select(Alert).options(_WITH_INCIDENT).order_by(Alert.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Alert.id < before_id)
    for column, value in (
        (Alert.status, wanted.status),
        (Alert.severity, wanted.severity),
        (Alert.alert_name, wanted.alert_name),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(Alert.starts_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Alert.starts_at <= wanted.until)
    return query.where(*(condition(Alert.labels, matcher) for matcher in wanted.labels))


def get(session: Session, alert_id: int, *, for_change: bool = False) -> Alert:
    """The alert, locked until the transaction ends when it is to be changed.  Raises NotFound."""
    query = select(Alert).where(Alert.id == alert_id)
    # An alert that was locked before is asked for once more, with its incident.
    alert = session.scalar(
        query.with_for_update() if for_change else query.options(_WITH_INCIDENT),
        execution_options={"populate_existing": True},
    )
    if alert is None:
        raise NotFound(f"there is no alert {alert_id}")
    return alert


def story(session: Session, alert_id: int) -> AlertStory:
    """The alert with its history.  Raises NotFound."""
    alert = get(session, alert_id)
    changes = select(AlertHistory).where(AlertHistory.alert_id == alert_id).order_by(AlertHistory.id)
    return AlertStory(alert, list(session.scalars(changes)))
