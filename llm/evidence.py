"""What is known about an alert when somebody asks for its cause?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

Fact = str | int | float | bool | None

ALERT = "alert"
RELATED_ALERT = "related_alert"
ANOMALY = "anomaly"
CHANGE = "change"
SUSPECT = "suspect"
SIMILAR = "similar_incident"
RUNBOOK = "runbook"

MAX_ITEMS = 30
_MOST_LABELS, _LONGEST_LABEL = 40, 300
_MOST_ANNOTATIONS, _LONGEST_ANNOTATION = 12, 1000
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """One thing that was recorded, and how much it has to do with the alert."""

    kind: str  # one of the constants above
    summary: str
    at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: float = 0.0  # from 0 to 1: how relevant, by our own measure
    facts: Mapping[str, Fact] = field(default_factory=dict)
    id: str = ""  # "E1", "E2", ...; given by `number`


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The alert that is asked about."""

    alert_name: str
    severity: str | None
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    description: str | None
    starts_at: datetime
    fingerprint: str  # with the start it tells this alert from every other one
    fingerprint_is_of_labels: bool  # so that the labels tell as much
    incident: str | None = None  # what it is a part of, in a few words


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question: one alert and its evidence, strongest first, the alert itself being E1."""

    subject: Subject
    evidence: tuple[EvidenceItem, ...]
    asked_at: datetime

    def item(self, evidence_id: str) -> EvidenceItem | None:
        """The item with this id, if there is one."""
        return next((item for item in self.evidence if item.id == evidence_id), None)

    @property
    def suspects(self) -> tuple[EvidenceItem, ...]:
        """The suspects that statistics ranked, likeliest first: in the order of their ranking."""
        ranked = (item for item in self.evidence if item.kind == SUSPECT)
        return tuple(sorted(ranked, key=_place))

    @property
    def beside_the_alert(self) -> tuple[EvidenceItem, ...]:
        """The evidence without E1."""
        return self.evidence[1:]


def number(subject: Subject, items: Iterable[EvidenceItem], *, asked_at: datetime, limit: int = MAX_ITEMS) -> Case:
    """A case with the evidence ranked by weight and named E1, E2, ...

    The alert itself is always E1 and is made from the subject: items of kind "alert" are left out, and so are
    repetitions and whatever is beyond `limit`. Weights outside 0..1 are brought inside; of equal weights the
    earlier one comes first. Texts and label sets are cut to a size that no honest alert needs.
    """
    # Megabytes of annotations would cost the checks of an answer minutes, and the model sees none of them anyway.
    subject = _bounded_subject(subject)
    inside = (_bounded(item) for item in items if item.kind != ALERT)
    distinct: dict[tuple[str, str, datetime | None], EvidenceItem] = {}
    for item in sorted(inside, key=_rank):
        # Of the same thing found twice the stronger finding stays.
        distinct.setdefault((item.kind, item.summary, item.at), item)
    everything = (_the_alert(subject), *list(distinct.values())[: max(limit - 1, 0)])
    return Case(
        subject=subject,
        evidence=tuple(replace(item, id=f"E{place}") for place, item in enumerate(everything, start=1)),
        asked_at=asked_at,
    )


def _bounded_subject(subject: Subject) -> Subject:
    return replace(
        subject,
        alert_name=subject.alert_name[:_LONGEST_LABEL],
        severity=subject.severity and subject.severity[:_LONGEST_LABEL],
        labels=_bounded_labels(subject.labels),
        annotations={
            name[:_LONGEST_LABEL]: text[:_LONGEST_ANNOTATION]
            for name, text in list(subject.annotations.items())[:_MOST_ANNOTATIONS]
        },
        description=subject.description and subject.description[:_LONGEST_TEXT],
    )


def _bounded(item: EvidenceItem) -> EvidenceItem:
    return replace(
        item,
        summary=item.summary[:_LONGEST_TEXT],
        weight=min(max(item.weight, 0.0), 1.0),
        labels=_bounded_labels(item.labels),
        facts={
            name[:_LONGEST_LABEL]: value[:_LONGEST_LABEL] if isinstance(value, str) else value
            for name, value in list(item.facts.items())[:_MOST_LABELS]
        },
    )


def _bounded_labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {name[:_LONGEST_LABEL]: value[:_LONGEST_LABEL] for name, value in list(labels.items())[:_MOST_LABELS]}


def _the_alert(subject: Subject) -> EvidenceItem:
    return EvidenceItem(kind=ALERT, summary=subject.alert_name, at=subject.starts_at, labels=subject.labels, weight=1.0)


def _place(suspect: EvidenceItem) -> tuple[float, float]:
    told = suspect.facts.get("rank")
    return (float(told) if isinstance(told, int | float) else math.inf), -suspect.weight


def _rank(item: EvidenceItem) -> tuple[float, datetime, str, str, str]:
    # What is told of an item comes last, so that the order, and with it the question's digest, never depends
    # on the order in which a query happened to return rows.
    told = f"{sorted(item.labels.items())} {sorted(item.facts.items())}"
    return -item.weight, item.at or datetime.max.replace(tzinfo=UTC), item.kind, item.summary, told
