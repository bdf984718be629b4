"""From rows to a case: what was recorded around an alert, in the analyst's own terms and weighed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy.orm import Session

from db.models.alert import Alert
from db.queries import analyses, evidence
from db.queries.analyses import Answer
from db.queries.evidence import AlertNearby, AnomalyNearby, Recorded
from db.session import Database
from llm.analysis import Analysis
from llm.evidence import ANOMALY, CHANGE, RELATED_ALERT, Case, EvidenceItem, Fact, Subject, number
from llm.evidence_only import evidence_only
from llm.relevance import relevance
from sensus import fingerprint, logs, times
from tasks.base import may_pass

# What has less to do with the alert than this is no evidence, and would only fill the prompt.
LEAST_WEIGHT = 0.05
WAITING = "the model is busy with other alerts"
# Small, so that the newest alert of all never waits long for others that came before it.
_PORTION = 50
_ASIDE_S = 60.0

log = logs.get_logger(__name__)


def case_of(recorded: Recorded, *, asked_at: datetime) -> Case:
    """The question about an alert, with the evidence ranked and numbered."""
    return number(_subject(recorded.alert), _items(recorded), asked_at=asked_at)


def as_data(case: Case, analysis: Analysis, *, cached: bool = False) -> dict[str, object]:
    """An analysis as `analysis_data` holds it, with the evidence it was asked about."""
    return {
        "root_cause": _storable(analysis.root_cause),
        "mitigation": _storable(analysis.mitigation),
        "analysis": _storable(analysis.analysis),
        "evidence": [_told(item) for item in case.evidence],
        "cited": list(analysis.cited),
        "reason": None if analysis.reason is None else _storable(analysis.reason),
        "cached": cached,
        "tokens": analysis.tokens,
        "duration_s": round(analysis.duration_s, 3),
    }


def as_answer(case: Case, analysis: Analysis, *, cached: bool = False) -> Answer:
    """An analysis as it is stored."""
    return Answer(
        outcome=analysis.outcome,
        model_name=analysis.model_name,
        confidence=analysis.confidence,
        question_digest=analysis.question_digest,
        data=as_data(case, analysis, cached=cached),
    )


def answer_meanwhile(database: Database, *, until: float) -> int:
    """Give analyses that wait for their turn what the evidence alone supports, newest first; how many have it now.

    In a storm of alerts the model takes hours for what this does in seconds. Ends when all have an answer, when
    somebody else is at it, or with the portion in which the monotonic clock passes `until`.
    """
    answered = 0
    while time.monotonic() < until:
        waiting: list[tuple[int, int]] = []
        try:
            with database.transaction() as session:
                if analyses.only_one_answers(session):
                    waiting = analyses.unanswered(session, limit=_PORTION)
                    answered += _answer_all(session, waiting)
        except Exception as error:
            if not waiting or isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
                raise
            log.warning("alerts_answered_one_by_one", count=len(waiting), error=type(error).__name__)
            answered += sum(_answer_alone(database, analysis_id, alert_id) for analysis_id, alert_id in waiting)
        if not waiting:
            break
    return answered


def _answer_all(session: Session, waiting: Sequence[tuple[int, int]]) -> int:
    recorded = evidence.around(session, [alert_id for _, alert_id in waiting])
    cases = {
        analysis_id: case_of(recorded[alert_id], asked_at=times.now())
        for analysis_id, alert_id in waiting
        if alert_id in recorded
    }
    answers = {analysis_id: as_answer(case, evidence_only(case, WAITING)) for analysis_id, case in cases.items()}
    return analyses.answer_meanwhile(session, answers)


def _answer_alone(database: Database, analysis_id: int, alert_id: int) -> int:
    """As `_answer_all`, of one; one that fails is set aside, so that it holds up nobody."""
    try:
        with database.transaction() as session:
            return _answer_all(session, [(analysis_id, alert_id)])
    except Exception as error:
        if isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
            raise
        log.exception("alert_not_answered", analysis_id=analysis_id, alert_id=alert_id)
        with database.transaction() as session:
            analyses.set_aside(session, analysis_id, pause_s=_ASIDE_S)
        return 0


def _storable(words: str) -> str:
    # A model can write any character, and PostgreSQL's JSON holds neither NUL nor half of a surrogate pair.
    return words.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _told(item: EvidenceItem) -> dict[str, object]:
    return {
        "id": item.id,
        "kind": item.kind,
        "summary": item.summary,
        "at": None if item.at is None else times.isoformat(item.at),
        "labels": dict(item.labels),
        "weight": round(item.weight, 3),
        "facts": dict(item.facts),
    }


def _subject(alert: Alert) -> Subject:
    return Subject(
        alert_name=alert.alert_name,
        severity=alert.severity,
        status=alert.status,
        labels=alert.labels,
        annotations=alert.annotations,
        description=alert.description,
        starts_at=alert.starts_at,
        fingerprint=alert.fingerprint,
        fingerprint_is_of_labels=alert.fingerprint == fingerprint.of_labels(alert.labels),
    )


def _items(recorded: Recorded) -> Iterator[EvidenceItem]:
    alert = recorded.alert
    for other in recorded.alerts:
        yield from _if_relevant(alert, RELATED_ALERT, _alert_summary(other), other.labels, other.starts_at, {
            "id": other.id, "severity": other.severity, "status": other.status,
        })  # fmt: skip
    for anomaly in recorded.anomalies:
        yield from _if_relevant(
            alert, ANOMALY, _anomaly_summary(anomaly), anomaly.labels, anomaly.at, _anomaly_facts(anomaly)
        )
    for change in recorded.changes:
        yield from _if_relevant(
            alert, CHANGE, change.title, change.labels, change.at, {"id": change.id, "change": change.kind}
        )


def _if_relevant(
    alert: Alert, kind: str, summary: str, labels: Mapping[str, str], at: datetime, facts: Mapping[str, Fact]
) -> Iterator[EvidenceItem]:
    weight = relevance(alert.labels, alert.starts_at, labels, at, kind, summary)
    if weight >= LEAST_WEIGHT:
        yield EvidenceItem(kind=kind, summary=summary, at=at, labels=labels, weight=weight, facts=facts)


def _alert_summary(other: AlertNearby) -> str:
    said = other.annotations.get("summary") or other.description
    return f"{other.alert_name}: {said}" if said else other.alert_name


def _anomaly_summary(anomaly: AnomalyNearby) -> str:
    value, low, high = (anomaly.data.get(name) for name in ("value", "expected_low", "expected_high"))
    if not isinstance(value, int | float):
        return f"{anomaly.metric_name} was unusual"
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f"{anomaly.metric_name} was {value:.4g}, expected were {low:.4g} to {high:.4g}"
    return f"{anomaly.metric_name} was {value:.4g}, which is unusual"


def _anomaly_facts(anomaly: AnomalyNearby) -> dict[str, Fact]:
    facts: dict[str, Fact] = {"id": anomaly.id, "score": anomaly.score, "alert": anomaly.alert}
    features = anomaly.data.get("features")
    if isinstance(features, list) and features and isinstance(features[0], dict):
        facts["strongest_feature"] = str(features[0].get("name", ""))
    return facts
