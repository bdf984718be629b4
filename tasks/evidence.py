"""From rows to a case: what was recorded around an alert, in the analyst's own terms and weighed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from db.models.alert import Alert
from db.queries.analyses import Answer
from db.queries.evidence import AlertNearby, AnomalyNearby, Recorded
from llm.analysis import Analysis
from llm.evidence import ANOMALY, CHANGE, RELATED_ALERT, Case, EvidenceItem, Fact, Subject, number
from llm.relevance import relevance
from sensus import fingerprint, times

# What has less to do with the alert than this is no evidence, and would only fill the prompt.
LEAST_WEIGHT = 0.05


def case_of(recorded: Recorded, *, asked_at: datetime) -> Case:
    """The question about an alert, with the evidence ranked and numbered."""
    return number(subject_of(recorded.alert), items_around(recorded), asked_at=asked_at)


def as_data(case: Case, analysis: Analysis, *, cached: bool = False) -> dict[str, object]:
    """An analysis as `analysis_data` holds it, with the evidence it was asked about."""
    return {
        "root_cause": _storable(analysis.root_cause),
        "mitigation": _storable(analysis.mitigation),
        "analysis": _storable(analysis.analysis),
        "evidence": [_told(item) for item in case.evidence],
        "cited": list(analysis.cited),
        "suspect": analysis.suspect,
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


def subject_of(alert: Alert, *, incident: str | None = None) -> Subject:
    """The alert that is asked about; `incident` is what it is a part of."""
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
        incident=incident,
    )


def items_around(recorded: Recorded) -> Iterator[EvidenceItem]:
    """What has to do with the alert of what was recorded around it."""
    alert = recorded.alert
    for other in recorded.alerts:
        yield from _if_relevant(alert, RELATED_ALERT, alert_summary(other), other.labels, other.starts_at, {
            "id": other.id, "severity": other.severity, "status": other.status,
        })  # fmt: skip
    for anomaly in recorded.anomalies:
        yield from _if_relevant(
            alert, ANOMALY, anomaly_summary(anomaly), anomaly.labels, anomaly.at, anomaly_facts(anomaly)
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


def alert_summary(other: AlertNearby) -> str:
    """An alert in a line."""
    said = other.annotations.get("summary") or other.description
    return f"{other.alert_name}: {said}" if said else other.alert_name


def anomaly_summary(anomaly: AnomalyNearby) -> str:
    """An anomaly in a line."""
    value, low, high = (anomaly.data.get(name) for name in ("value", "expected_low", "expected_high"))
    if not isinstance(value, int | float):
        return f"{anomaly.metric_name} was unusual"
    was = f"{anomaly.metric_name} was {value:.4g}"
    if anomaly.data.get("per_second"):
        was = f"{anomaly.metric_name} grew by {value:.4g} per second"
    if isinstance(low, int | float) and isinstance(high, int | float):
        return f"{was}, {_expected(value, low, high)}"
    return f"{was}, which is unusual"


def _expected(value: float, low: float, high: float) -> str:
    # Beside the value, what is so near to nothing is nothing.
    least = 1e-9 * max(abs(value), abs(low), abs(high))
    told = [f"{0.0 if abs(bound) <= least else bound:.4g}" for bound in (low, high)]
    return f"expected was {told[0]}" if told[0] == told[1] else f"expected were {told[0]} to {told[1]}"


def anomaly_facts(anomaly: AnomalyNearby) -> dict[str, Fact]:
    """What of an anomaly is shown beside its line."""
    facts: dict[str, Fact] = {"id": anomaly.id, "score": anomaly.score, "alert": anomaly.alert}
    features = anomaly.data.get("features")
    if isinstance(features, list) and features and isinstance(features[0], dict):
        facts["strongest_feature"] = str(features[0].get("name", ""))
    return facts
