"""How much does each series speak of the incident?"""

from __future__ import annotations

import math

import numpy as np

from ml.rootcause.arrays import stretches
from ml.rootcause.deviations import Prepared
from ml.rootcause.incident import FloatArray, Settings
from ml.rootcause.kinds import weight


def _alert_profile(prepared: Prepared, column: int | None, settings: Settings) -> tuple[FloatArray, float]:
    """Weights of the incident's points by the alert's own metric, and how far that metric can be trusted (0..1).

    A point counts when it is beyond the worst tenth of the reference; trust is full when such points are, on the
    profile's average, beyond the worst hundredth.
    """
    points = len(prepared.incident)
    nothing = np.zeros(points)
    if column is None or len(prepared.reference) < 5:
        return nothing, 0.0
    usual = np.sort(prepared.reference[:, column])
    now = prepared.incident[:, column]
    beyond = len(usual) - np.searchsorted(usual, now, side="left")
    tail = (beyond + 1) / (len(usual) + 1)
    surprise = np.where(now > 0, np.maximum(np.log10(settings.alert_tail / tail), 0.0), 0.0)
    profile = np.where(surprise > 0, now, 0.0)
    if profile.sum() <= 0:
        return nothing, 0.0
    profile = profile / profile.sum()
    return profile, float(min(profile @ surprise, 1.0))


def _sustained(prepared: Prepared, settings: Settings) -> FloatArray:
    """Strongest stretch of half the incident, less what the reference reaches in one stretch of ten."""
    length = max(1, math.ceil(settings.stretch * len(prepared.incident)))
    found = stretches(prepared.incident, length).max(axis=0)
    if len(prepared.reference) >= length + 4:
        usual = np.quantile(stretches(prepared.reference, length), settings.reference_quantile, axis=0)
        found = found - usual
    return np.asarray(np.maximum(found, 0.0), dtype=np.float64)


def _with_alert(prepared: Prepared, column: int, profile: FloatArray, settings: Settings) -> FloatArray:
    """Deviation while the alert's metric was off, less the deviation while it was not.

    The latter counts as far as the alert's metric really was calm then: in a fault that lasts through the whole
    incident, some points are only a little less bad, and their deviation is the fault's own.
    """
    during = profile @ prepared.incident
    calm = profile.max() - profile
    if calm.sum() > 0:
        calm = calm / calm.sum()
        alert = prepared.incident[:, column]
        calmness = max(0.0, 1.0 - float(calm @ alert) / float(profile @ alert))
        during = during - settings.contrast * calmness * (calm @ prepared.incident)
    return np.asarray(np.maximum(during, 0.0), dtype=np.float64)


def series_evidence(prepared: Prepared, column: int | None, settings: Settings) -> tuple[FloatArray, float]:
    profile, trust = _alert_profile(prepared, column, settings)
    evidence = (1 - trust) * _sustained(prepared, settings)
    if trust > 0 and column is not None:
        evidence = evidence + trust * _with_alert(prepared, column, profile, settings)
    weights = np.array([weight(kind, settings) for kind in prepared.kinds])
    return evidence * weights, trust
