"""Is a series a counter, and how fast does it grow?

What a counter shows is how much there was since its process started; what people watch is how much there is now.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from math import isfinite, isnan, nan
from typing import TypeVar

from ml.features import STATES
from ml.pace import DAY_S
from ml.scoring import Said, Scored

_NAMED_SO = re.compile(r"_(?:total|count|sum|bucket)$")
# The parts of a histogram or a summary, and for each another one that no gauge has beside it. The numbers of threads or
# of connections that are open are often called `_count` too.
_PARTNERS = {"_count": "_sum", "_sum": "_count", "_bucket": "_count"}
# After so long a series starts afresh; its growth on average over the gap would be no beginning.
_LONGEST_GAP_S = 7 * DAY_S
_WARMING_UP = STATES[0]

T = TypeVar("T")


def is_named_so(metric_name: str) -> bool:
    """Whether the name is one that Prometheus' conventions give to counters and to parts of histograms."""
    return _NAMED_SO.search(metric_name) is not None


def partner_of(metric_name: str) -> str | None:
    """The metric that must be there for this one to be a counter; None when its name alone decides."""
    for ending, of_partner in _PARTNERS.items():
        if metric_name.endswith(ending):
            return metric_name.removesuffix(ending) + of_partner
    return None


def is_counter(metric_name: str, others: Collection[str]) -> bool:
    """Whether a series of this name is a counter where there are metrics of these other names."""
    partner = partner_of(metric_name)
    return is_named_so(metric_name) and (partner is None or partner in others)


def growth(times: Sequence[float], values: Sequence[float], before: tuple[float, float] | None = None) -> list[float]:
    """Growth per second at each sample since the one before it, NaN where it is not known.

    It is not known of the first sample, of one after a gap of more than seven days, and of one where the counter has
    begun anew. Times are epoch seconds that increase strictly; all values are finite. `before` is the last sample
    before them, None at the beginning of a series: with it, any way to cut a series into batches gives the same growth.
    """
    found = []
    for time, value in zip(times, values, strict=True):
        known = nan
        if before is not None and value >= before[1]:
            # Times are whole microseconds, and the difference of two floating point numbers of this size is not.
            passed_s = round(time - before[0], 6)
            if 0.0 < passed_s <= _LONGEST_GAP_S:
                known = (value - before[1]) / passed_s
        found.append(known if isfinite(known) else nan)
        before = (time, value)
    return found


def judged(times: Sequence[float], grown: Sequence[float]) -> tuple[list[float], list[float]]:
    """Times and growth of the samples whose growth is known."""
    known = [(time, of_sample) for time, of_sample in zip(times, grown, strict=True) if not isnan(of_sample)]
    return [time for time, _ in known], [of_sample for _, of_sample in known]


def spread(scored: Scored, grown: Sequence[float]) -> Scored:
    """What came of all samples of a counter, by what came of those that were judged.

    A sample of no known growth is neither strange nor ordinary: its figures are 0, and its state is `warming_up`.
    """
    places = [place for place, of_sample in enumerate(grown) if not isnan(of_sample)]
    if len(places) == len(grown):
        return scored
    shadow = scored.shadow
    return replace(
        scored,
        scores=_at(places, scored.scores, len(grown), 0.0),
        alerts=_at(places, scored.alerts, len(grown), 0.0),
        states=_at(places, scored.states, len(grown), _WARMING_UP),
        anomalies=[replace(anomaly, sample=places[anomaly.sample]) for anomaly in scored.anomalies],
        shadow=shadow
        and Said(_at(places, shadow.scores, len(grown), 0.0), _at(places, shadow.alerts, len(grown), 0.0)),
    )


def _at(places: Sequence[int], of_judged: Sequence[T], count: int, otherwise: T) -> list[T]:
    found = [otherwise] * count
    for place, one in zip(places, of_judged, strict=True):
        found[place] = one
    return found
