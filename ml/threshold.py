"""Is this worth waking someone?  From evidence in bits to the two figures of a sample, and to a verdict.

What a series does on most days pages nobody: what is usual of its own daily peaks is taken off. One event pages once:
what follows is held off, unless it rises clearly.
"""

from dataclasses import astuple, dataclass
from math import expm1, floor, log

import numpy as np

from ml import features as f
from ml import memory as m
from ml.compiled import compiled
from ml.detectors.base import Evidence, FloatArray, Starts

DAY_S = 86_400.0
_LN_2 = log(2.0)


@dataclass(frozen=True, slots=True)
class Policy:
    """When evidence becomes an anomaly.

    The numbers were chosen once, on labelled series of other systems, and are the same for all series.
    """

    threshold: float = 0.5  # an alert figure from here on is an anomaly
    score_bits: float = 5.0  # evidence for ranking at which the score is one half
    alert_bits: float = 4.6  # evidence for paging at which the alert figure is one half
    ordinary_peak: float = 4.0  # daily peaks up to here, in bits, are nothing special and take nothing off
    peak_weight: float = 0.85  # of what the usual daily peak of the series is above that is taken off
    peak_quantile: float = 0.9  # the usual peak is the one that so many of the last 28 days stay below
    hold_off_s: float = 45_000.0  # one event pages once in this time ...
    clear_rise: float = 0.35  # ... unless it rises by so many bits above what it was
    held_share: float = 0.25  # what is left of the evidence while it is held off
    warm_up_share: float = 0.4  # what is left of it on the very first sample; grows to 1 over the warm-up

    def is_anomaly(self, alert: float) -> bool:
        """Is someone to be woken?"""
        return alert >= self.threshold


DEFAULT_POLICY = Policy()


def calibrate(
    policy: Policy, evidence: Evidence, figures: FloatArray, times: FloatArray, starts: Starts, paging: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The score and the alert figure of each sample, from 0 (ordinary) to 1 (strange).

    The samples of series n are those from `starts[n]` to `starts[n + 1]`; `paging[n]`, what is remembered of its
    alerts, moves on.
    """
    scores, alerts = np.empty(len(times)), np.empty(len(times))
    numbers = np.array(astuple(policy))
    _calibrate(numbers, evidence.score, evidence.alert, figures, times, starts, paging, scores, alerts)
    return scores, alerts


@compiled
def _calibrate(
    policy: FloatArray,
    score_bits: FloatArray,
    alert_bits: FloatArray,
    figures: FloatArray,
    times: FloatArray,
    starts: Starts,
    paging: FloatArray,
    scores: FloatArray,
    alerts: FloatArray,
) -> None:
    _, bits_of_score, bits_of_alert, ordinary, weight, quantile, hold_off_s, rise, held_share, warm_share = policy
    for series in range(len(paging)):
        of_series = paging[series]
        for sample in range(starts[series], starts[series + 1]):
            if figures[sample, f.BEGINS] != 0.0:
                _begin(of_series, times[sample])
            warmth, bits = figures[sample, f.WARMTH], alert_bits[sample]
            _note_peak(of_series, times[sample], bits if warmth >= 1.0 else 0.0, quantile)
            usual = of_series[m.USUAL_PEAK]
            alert = bits
            if usual > ordinary:
                alert -= weight * (usual - ordinary)
                if bits <= usual:
                    # A daily job is strange each day. It is not news, however strange.
                    alert = min(alert, ordinary)
            if figures[sample, f.USUAL] != 0.0:
                # Half of the days go as far at this hour. It is no news either.
                alert = min(alert, ordinary)
            alert = max(alert, 0.0) * (warm_share + (1.0 - warm_share) * warmth)
            if times[sample] < of_series[m.HELD_UNTIL] and alert <= of_series[m.HELD_ALERT] + rise:
                alert *= held_share
            else:
                of_series[m.HELD_ALERT] = alert
                of_series[m.HELD_UNTIL] = times[sample] + hold_off_s
            scores[sample] = -expm1(-_LN_2 * (score_bits[sample] / bits_of_score))
            alerts[sample] = -expm1(-_LN_2 * (alert / bits_of_alert))


@compiled
def _begin(paging: FloatArray, time: float) -> None:
    paging[: m.FIRST_PEAK] = 0.0
    paging[m.FIRST_PEAK :] = np.nan
    paging[m.DAY] = floor(time / DAY_S)
    paging[m.USUAL_PEAK] = m.NEVER
    paging[m.HELD_UNTIL] = m.NEVER


@compiled
def _note_peak(paging: FloatArray, time: float, bits: float, quantile: float) -> None:
    """Keep the highest evidence of each day; days without any do not count."""
    day = floor(time / DAY_S)
    if day != paging[m.DAY]:
        if paging[m.PEAK] > 0.0:
            paging[m.FIRST_PEAK + int(paging[m.PEAKS]) % m.PEAK_DAYS] = paging[m.PEAK]
            paging[m.PEAKS] += 1.0
            days = int(min(paging[m.PEAKS], float(m.PEAK_DAYS)))
            ordered = np.sort(paging[m.FIRST_PEAK : m.FIRST_PEAK + days])
            paging[m.USUAL_PEAK] = ordered[int((days - 1) * quantile)]
        paging[m.DAY] = day
        paging[m.PEAK] = 0.0
    if bits > paging[m.PEAK]:
        paging[m.PEAK] = bits
