"""Which service is the likeliest cause?  Suspects, best first."""

from __future__ import annotations

import numpy as np

from ml.rootcause.calls import place_factor, reachable_from
from ml.rootcause.confidence import ENOUGH_TO_COMPARE, confidence_of
from ml.rootcause.deviations import Prepared, prepare
from ml.rootcause.incident import DEFAULTS, Incident, Settings, Suspect
from ml.rootcause.kinds import LOST_CALLS
from ml.rootcause.noise import noise_of
from ml.rootcause.series import series_evidence
from ml.rootcause.services import Scored, alert_symptom, by_service, discounted, lost_calls_of, silence_of, total_of


def _column_of(incident: Incident) -> int | None:
    if incident.alert is None:
        return None
    wanted = (incident.alert.service, incident.alert.metric)
    return incident.series.index(wanted) if wanted in incident.series else None


def _scores(incident: Incident, prepared: Prepared, column: int | None, settings: Settings) -> list[Scored]:
    values, trust = series_evidence(prepared, column, settings)
    values = np.round(values, 9)  # equal evidence stays equal whatever the units, so that ties break by name
    evidence = by_service(prepared, values)
    callees = prepared.callees
    lost = lost_calls_of(prepared, values, evidence, settings)
    for service, silent in silence_of(incident, prepared, settings).items():
        evidence[service]["silence"] = silent
    for service, piece in lost.items():
        evidence[service][LOST_CALLS] = piece
    symptom = alert_symptom(incident, evidence)
    reachable = reachable_from(incident, callees)
    scored: list[Scored] = []
    for service in sorted(evidence):
        pieces = discounted(service, evidence, callees, symptom, trust, settings)
        score, metric = total_of(pieces, settings)
        factor = place_factor(service, callees, reachable, settings)
        scored.append(Scored(service, metric, round(score * factor, 6), pieces))
    scored.sort(key=lambda item: (-item.score, item.service))
    return scored


def rank(incident: Incident, settings: Settings = DEFAULTS) -> tuple[Suspect, ...]:
    """Suspects, best first; empty when there is nothing to rank.

    The first one's confidence is calibrated. The others share what it leaves by their scores, but none has more than
    its score in relation to the first's: what is left then is the chance that it is none of them.
    """
    if not incident.series or len(incident.times) < 2:
        return ()
    prepared, column = prepare(incident, settings), _column_of(incident)
    scored = _scores(incident, prepared, column, settings)
    if not scored:
        return ()
    few = len(scored) < ENOUGH_TO_COMPARE
    noise = noise_of(scored[0].service, prepared, column, settings) if few else 0.0
    certain = confidence_of(scored, has_graph=bool(prepared.callees), noise=noise)
    rest = sum(item.score for item in scored[1:])
    most = min(certain / scored[0].score, (1 - certain) / rest) if rest > 0 else 0.0  # per unit of score
    shares = [certain, *(most * item.score for item in scored[1:])]
    return tuple(
        Suspect(
            item.service,
            item.metric,
            item.score,
            round(share, 4),
            {kind: round(piece.value, 4) for kind, piece in item.pieces.items() if piece.value > 0},
        )
        for item, share in zip(scored, shares, strict=True)
    )
