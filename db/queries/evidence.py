"""What is recorded around alerts: other alerts, anomalies of samples, changes; each list bounded in SQL.

Asked for many alerts at once it costs little more than for one, since alerts of one storm have the same surroundings.
"""

# ruff: noqa: S608 - statements are put together from constants of this module; values go in as parameters.
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Any, TypeVar

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.models.analysis import ANOMALY

ALERTS_AROUND = timedelta(minutes=30)
ANOMALIES_AROUND = timedelta(hours=1)
CHANGES_BEFORE = timedelta(hours=24)
# Clocks differ, and a deploy is often reported when it has ended.
CHANGES_AFTER = timedelta(minutes=15)

# How many rows nearest in time are looked at, and how many of them that share most labels are returned.
_LOOKED_AT = 500
_LOOKED_AT_EACH_SIDE = 300
_RETURNED = 40
_TELLING_NOTHING = frozenset({"alertname", "severity", "__name__"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AlertNearby:
    """Another alert that began around, or was firing when this one began."""

    id: int
    alert_name: str
    severity: str | None
    status: str
    description: str | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class AnomalyNearby:
    """The strongest anomaly of a series around the start."""

    id: int
    metric_name: str
    labels: Mapping[str, str]
    at: datetime
    score: float
    alert: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeNearby:
    """A change event before the start."""

    id: int
    kind: str
    title: str
    labels: Mapping[str, str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """An alert and all that is recorded around it."""

    alert: Alert
    alerts: tuple[AlertNearby, ...]
    anomalies: tuple[AnomalyNearby, ...]
    changes: tuple[ChangeNearby, ...]


def around(session: Session, alert_ids: Sequence[int]) -> dict[int, Recorded]:
    """What is recorded around the start of each of these alerts; one that is gone is left out."""
    subjects = list(session.scalars(select(Alert).where(Alert.id.in_(alert_ids)).order_by(Alert.id)))
    if not subjects:
        return {}
    alerts = _alerts(session, subjects)
    anomalies = _anomalies(session, subjects)
    changes = _changes(session, subjects)
    return {
        alert.id: Recorded(
            alert=alert, alerts=alerts[alert.id], anomalies=anomalies[alert.id], changes=changes[alert.id]
        )
        for alert in subjects
    }


def _alerts(session: Session, subjects: Sequence[Alert]) -> dict[int, tuple[AlertNearby, ...]]:
    # Forwards and backwards along the index of starts: thousands of alerts began in the same moment in a storm, and
    # no more of them are read than are looked at. What has fired for longer is found by the index of states.
    pool = session.execute(
        text(
            """
            WITH nearby AS (
                SELECT near.id FROM unnest(:moments) AS moment CROSS JOIN LATERAL (
                    (SELECT id FROM alerts WHERE starts_at BETWEEN moment - :around AND moment
                     ORDER BY starts_at DESC LIMIT :each_side)
                    UNION ALL
                    (SELECT id FROM alerts WHERE starts_at > moment AND starts_at <= moment + :around
                     ORDER BY starts_at LIMIT :each_side)
                ) near
                UNION
                (SELECT id FROM alerts WHERE status = 'firing' AND starts_at < :latest - :around
                 ORDER BY id DESC LIMIT :looked_at)
            )
            SELECT id, labels, status, starts_at FROM alerts WHERE id IN (SELECT id FROM nearby)
            """
        ),
        {
            **_moments(subjects),
            "latest": max(subject.starts_at for subject in subjects),
            "around": ALERTS_AROUND,
            "each_side": _LOOKED_AT_EACH_SIDE,
            "looked_at": _LOOKED_AT,
        },
    ).all()
    shared = _SharedLabels(pool)
    chosen: dict[int, list[int]] = {}
    around_s = ALERTS_AROUND.total_seconds()
    others = [(row.id, row.starts_at.timestamp(), row.status == "firing") for row in pool]
    for subject in subjects:
        start, counts = subject.starts_at.timestamp(), shared.with_(subject.labels)
        near = (
            (-counts[id_], abs(began - start), id_)
            for id_, began, fires in others
            if began <= start + around_s and (fires or began >= start - around_s) and id_ != subject.id
        )
        chosen[subject.id] = [id_ for _, _, id_ in nsmallest(_RETURNED, near)]
    columns = (
        Alert.id,
        Alert.alert_name,
        Alert.severity,
        Alert.status,
        Alert.description,
        Alert.labels,
        Alert.annotations,
        Alert.starts_at,
    )
    rows = session.execute(select(*columns).where(Alert.id.in_(_all(chosen))))
    return _picked(chosen, {row.id: AlertNearby(*row) for row in rows})


def _anomalies(session: Session, subjects: Sequence[Alert]) -> dict[int, tuple[AnomalyNearby, ...]]:
    pool = session.execute(
        text(
            f"""
            WITH nearby AS (
                SELECT DISTINCT near.* FROM unnest(:moments) AS moment CROSS JOIN LATERAL (
                    SELECT id, series_id, sample_at, confidence_score FROM ai_analysis_results
                    WHERE analysis_type = '{ANOMALY}' AND sample_at BETWEEN moment - :around AND moment + :around
                    ORDER BY sample_at DESC, id DESC LIMIT :looked_at
                ) near
            )
            SELECT n.id, s.labels, n.series_id, n.sample_at, coalesce(n.confidence_score, -1) AS confidence
            FROM nearby n JOIN series s ON s.id = n.series_id
            """
        ),
        {**_moments(subjects), "around": ANOMALIES_AROUND, "looked_at": _LOOKED_AT},
    ).all()
    shared = _SharedLabels(pool)
    chosen: dict[int, list[int]] = {}
    for subject in subjects:
        start, counts = subject.starts_at, shared.with_(subject.labels)
        near = [row for row in pool if counts[row.id] and abs(row.sample_at - start) <= ANOMALIES_AROUND]
        near.sort(key=lambda row: (-counts[row.id], -row.confidence, row.id))
        strongest = {row.series_id: row.id for row in reversed(near)}
        chosen[subject.id] = [row.id for row in near if strongest[row.series_id] == row.id][:_RETURNED]
    rows = session.execute(
        text(
            """
            SELECT r.id, s.metric_name, s.labels, r.sample_at, coalesce(r.score, 0), coalesce(r.confidence_score, 0),
                r.analysis_data
            FROM ai_analysis_results r JOIN series s ON s.id = r.series_id WHERE r.id = ANY(:ids)
            """
        ),
        {"ids": _all(chosen)},
    )
    return _picked(chosen, {row.id: AnomalyNearby(*row) for row in rows})


def _changes(session: Session, subjects: Sequence[Alert]) -> dict[int, tuple[ChangeNearby, ...]]:
    pool = session.execute(
        text(
            """
            SELECT DISTINCT ON (near.id) near.* FROM unnest(:moments) AS moment CROSS JOIN LATERAL (
                SELECT id, kind, title, labels, at FROM change_events
                WHERE at BETWEEN moment - :before AND moment + :after ORDER BY at DESC, id DESC LIMIT :looked_at
            ) near
            """
        ),
        {**_moments(subjects), "before": CHANGES_BEFORE, "after": CHANGES_AFTER, "looked_at": _LOOKED_AT},
    ).all()
    shared = _SharedLabels(pool)
    found = {row.id: ChangeNearby(*row) for row in pool}
    chosen: dict[int, list[int]] = {}
    for subject in subjects:
        start, counts = subject.starts_at, shared.with_(subject.labels)
        near = [row for row in pool if start - CHANGES_BEFORE <= row.at <= start + CHANGES_AFTER]
        best = nsmallest(_RETURNED, ((-counts[row.id], start - row.at, -row.id) for row in near))
        chosen[subject.id] = [-id_ for _, _, id_ in best]
    return _picked(chosen, found)


class _SharedLabels:
    """How many labels each of these rows shares with an alert, counted by a list of rows for each label."""

    def __init__(self, rows: Iterable[Row[Any]]) -> None:
        self._rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row in rows:
            for label in row.labels.items():
                self._rows[label].append(row.id)

    def with_(self, labels: Mapping[str, str]) -> Counter[int]:
        """By the row's id; 0 for a row that shares none."""
        counts: Counter[int] = Counter()
        for label in labels.items():
            if label[0] not in _TELLING_NOTHING:
                counts.update(self._rows.get(label, ()))
        return counts


def _moments(subjects: Iterable[Alert]) -> dict[str, Any]:
    return {"moments": sorted({subject.starts_at for subject in subjects})}


def _all(chosen: Mapping[int, Iterable[int]]) -> list[int]:
    return sorted({id_ for ids in chosen.values() for id_ in ids})


def _picked(chosen: Mapping[int, Sequence[int]], found: Mapping[int, T]) -> dict[int, tuple[T, ...]]:
    # Retention may have taken a row between the two statements.
    return {alert_id: tuple(found[id_] for id_ in ids if id_ in found) for alert_id, ids in chosen.items()}
