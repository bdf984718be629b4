"""What speaks against each service, and how much of it do the services that it calls explain?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ml.rootcause.deviations import Prepared
from ml.rootcause.incident import INDICATOR_SERVICES, FloatArray, Incident, Settings
from ml.rootcause.kinds import LOST_CALLS, RESOURCES, SYMPTOM, kind_of


@dataclass(frozen=True)
class Piece:
    value: float
    metric: str


Evidence = dict[str, dict[str, Piece]]  # service -> kind -> strongest piece


def by_service(prepared: Prepared, evidence: FloatArray) -> Evidence:
    found: Evidence = {}
    for (service, metric), kind, value in zip(prepared.labels, prepared.kinds, evidence.tolist(), strict=True):
        if service in INDICATOR_SERVICES or kind == LOST_CALLS:
            continue
        pieces = found.setdefault(service, {})
        name = SYMPTOM.get(kind, kind)
        if name not in pieces or value > pieces[name].value:
            pieces[name] = Piece(value, metric)
    return found


def lost_calls_of(prepared: Prepared, values: FloatArray, evidence: Evidence, settings: Settings) -> dict[str, Piece]:
    """Callers whose calls to a callee stop although their own load goes on: they return early or fail inside.

    A callee in trouble of its own hides that: then calls fail at its end.
    """
    found: dict[str, Piece] = {}
    first = len(prepared.labels) - len(prepared.ratios)
    for offset, (caller, callee) in enumerate(prepared.ratios):
        value = float(values[first + offset])
        hidden = max(_explained_share(kind, value, [callee], evidence) for kind in ("latency", "failures"))
        value *= 1 - settings.explained * hidden
        if value > 0 and (caller not in found or value > found[caller].value):
            found[caller] = Piece(value, prepared.labels[first + offset][1])
    return found


def silence_of(incident: Incident, prepared: Prepared, settings: Settings) -> dict[str, Piece]:
    """Services whose steady series all stop."""
    if not len(prepared.raw_reference):
        return {}
    steady = (np.isfinite(prepared.raw_reference).mean(axis=0) >= 0.9).tolist()
    recent = np.isfinite(prepared.raw_incident[len(prepared.raw_incident) // 2 :])
    gone = (recent.sum(axis=0) == 0).tolist()
    counts: dict[str, list[int]] = {}
    for column, (service, _) in enumerate(incident.series):
        if service not in INDICATOR_SERVICES and steady[column]:
            tally = counts.setdefault(service, [0, 0, column])
            tally[0] += int(gone[column])
            tally[1] += 1
    return {
        service: Piece(settings.weight_silence, incident.series[column][1])
        for service, (missing, total, column) in counts.items()
        if missing == total
    }


def _explained_share(kind: str, value: float, callees: Iterable[str], evidence: Evidence) -> float:
    """How much of a symptom the strongest callee explains: one that shows half as much explains a quarter.

    A callee explains by the same symptom, by a resource in trouble, or by falling silent.
    """
    strongest = 0.0
    for callee in callees:
        for name, piece in evidence.get(callee, {}).items():
            if name == kind or name in RESOURCES or name == "silence":
                strongest = max(strongest, piece.value)
    return min(1.0, strongest / value) ** 2 if value > 0 else 0.0


def alert_symptom(incident: Incident, evidence: Evidence) -> str | None:
    """The symptom the alert is about, if any service but the alerting one's view shows it."""
    if incident.alert is None:
        return None
    symptom = SYMPTOM.get(kind_of(incident.alert.metric))
    if symptom is None or not any(p[symptom].value > 0 for p in evidence.values() if symptom in p):
        return None
    return symptom


def discounted(
    service: str,
    evidence: Evidence,
    callees: Mapping[str, frozenset[str]],
    symptom: str | None,
    trust: float,
    settings: Settings,
) -> dict[str, Piece]:
    """Pieces of evidence of one service after what its callees and the alert's symptom say."""
    below = [c for c in callees.get(service, ()) if service not in callees.get(c, ())]
    kept: dict[str, Piece] = {}
    for kind, piece in evidence[service].items():
        value = piece.value
        if kind in ("latency", "failures"):
            if symptom is not None and kind != symptom:
                value *= 1 - trust * (1 - settings.other_symptom)
            value *= 1 - settings.explained * _explained_share(kind, piece.value, below, evidence)
        kept[kind] = Piece(value, piece.metric)
    return kept


def total_of(pieces: Mapping[str, Piece], settings: Settings) -> tuple[float, str]:
    """Score and strongest metric: best kind and a share of the second."""
    ordered = sorted(pieces.items(), key=lambda item: (-item[1].value, item[0]))
    best = ordered[0]
    second = ordered[1][1].value if len(ordered) > 1 else 0.0
    return best[1].value + settings.second_kind * second, best[1].metric


@dataclass(frozen=True)
class Scored:
    service: str
    metric: str
    score: float
    pieces: Mapping[str, Piece]
