"""How much would speak against a service although nothing is wrong with it?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ml.rootcause.deviations import Prepared
from ml.rootcause.incident import FloatArray, Settings
from ml.rootcause.series import series_evidence
from ml.rootcause.services import by_service, total_of

_MOST_PIECES = 12  # pieces of the reference that are looked at: those next to the incident


def noise_of(service: str, prepared: Prepared, column: int | None, settings: Settings) -> float:
    """The score that one in ten pieces of the reference, each as long as the incident, would give to a service.

    The largest of many metrics is large by chance, and the more so the shorter the incident and the more a metric
    wanders; this has all of it in it, since it is measured as the incident is. `column` is that of the alert's metric.
    0 without a reference.
    """
    scores = []
    for piece in _pieces(prepared):
        values, _ = series_evidence(replace(prepared, incident=piece), column, settings)
        found = by_service(prepared, values).get(service)
        scores.append(total_of(found, settings)[0] if found else 0.0)
    return float(np.quantile(scores, settings.reference_quantile)) if scores else 0.0


def _pieces(prepared: Prepared) -> Iterator[FloatArray]:
    """The reference, newest first, in pieces as long as the incident; at least two where it has two points."""
    reference = prepared.reference
    size = max(1, min(len(prepared.incident), len(reference) // 2))
    for place in range(min(len(reference) // size, _MOST_PIECES)):
        end = len(reference) - place * size
        yield reference[end - size : end]
