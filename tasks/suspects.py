"""Which services are suspect, judging by the metrics of an incident's places and their neighbours?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from sqlalchemy.orm import Session

from db.models.alert import Alert as AlertRow
from db.queries import suspect_series
from db.queries.incident_evidence import IncidentRecorded
from llm.places import HOST_LABELS, POD_LABELS, place_of, service_labels
from llm.topology import Topology
from ml.rootcause.incident import Alert, Suspect
from ml.rootcause.kinds import kind_of
from ml.rootcause.ranking import rank
from ml.rootcause.sampled import Samples, incident_from_samples
from ml.rootcause.scraped import Scraped, metrics_of
from sensus import times

# What is usual is learnt from so long before the incident, and what went wrong looked for so long after its start.
REFERENCE = timedelta(hours=3)
DURING = timedelta(minutes=45)
LEAST_DURING_S = 20.0
MOST_SERVICES = 80
MOST_SERIES = 5_000
# Memory and time grow with this product alone: more series are looked at more coarsely.
MOST_POINTS = 1_000_000
FINEST_S = 5.0
MOST_SUSPECTS = 10
_WITHOUT_THE_METRIC = 0.84
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WORDS_OF_A_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class SuspectFound:
    """A service that may be the cause, with what its most telling metric did."""

    service: str
    metric: str
    score: float
    confidence: float
    kinds: Mapping[str, float]
    before: float | None  # median of the metric before the incident
    during: float | None
    times: tuple[float, ...] = ()  # of that metric's samples
    values: tuple[float, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As the incident's row holds it."""
        return {
            "service": self.service,
            "metric": self.metric,
            "score": round(self.score, 4),
            "confidence": round(self.confidence, 4),
            "kinds": dict(self.kinds),
            "before": self.before,
            "during": self.during,
        }


@dataclass(frozen=True, slots=True)
class Material:
    """What the ranking of one incident reads, gathered in one transaction."""

    scraped: tuple[Scraped, ...]
    calls: tuple[tuple[str, str], ...]
    start: datetime
    lead: AlertRow | None
    lead_service: str | None


def gather(
    session: Session, recorded: IncidentRecorded, topology: Topology, further_labels: Sequence[str], *, now: datetime
) -> Material:
    """The samples of the incident's places and of the services that call them or are called by them."""
    start = recorded.since
    names = _services(recorded, topology)
    since, until = start - REFERENCE, min(start + DURING, now)
    wanted = list(_labels(recorded, names, further_labels))
    found = suspect_series.of_places(session, wanted, since=since, limit=MOST_SERIES) if wanted else []
    named = {one.id: (one, place_of(one.labels, further_labels).name) for one in found}
    kept = [id_ for id_, (_, service) in named.items() if service is not None]
    step_s = max(FINEST_S, (until - since).total_seconds() * len(kept) / MOST_POINTS)
    binned = suspect_series.samples(session, kept, since=since, until=until, step_s=step_s) if kept else []
    scraped = [
        Scraped(
            service=named[one.series_id][1] or "",
            name=named[one.series_id][0].metric_name,
            labels=named[one.series_id][0].labels,
            times=np.asarray(one.times, dtype=np.float64),
            values=np.asarray(one.values, dtype=np.float64),
        )
        for one in binned
    ]
    lead = recorded.lead
    lead_service = None if lead is None else place_of(lead.labels, further_labels).name
    present = {one.service for one in scraped} | set(names)
    calls = tuple(call for call in topology.calls() if call[0] in present and call[1] in present)
    return Material(tuple(scraped), calls, start, lead, lead_service)


def ranked(material: Material) -> tuple[SuspectFound, ...]:
    """The suspects, best first; none when nothing was measured, or nothing moved."""
    samples = metrics_of(material.scraped)
    if not samples:
        return ()
    # An alert is often heard of before the samples of its moment are.
    newest = max(float(one.times.max()) for one in samples)
    start = min(times.to_epoch(material.start), newest - LEAST_DURING_S)
    if not any((one.times < start).sum() > 1 for one in samples):
        return ()
    alert = _alert(material, samples)
    suspects = rank(incident_from_samples(samples, start, alert=alert, calls=material.calls))
    # On the development cases a ranking that did not know the alert's metric was right less often than it said.
    certainty = 1.0 if alert is not None and alert.metric else _WITHOUT_THE_METRIC
    return tuple(_found(one, samples, start, certainty) for one in suspects[:MOST_SUSPECTS] if one.score > 0)


def _found(suspect: Suspect, samples: Iterable[Samples], start: float, certainty: float) -> SuspectFound:
    told = (suspect.service, suspect.metric)
    own = next((one for one in samples if (one.service, one.metric) == told), None)
    return SuspectFound(
        suspect.service,
        suspect.metric,
        suspect.score,
        certainty * suspect.confidence,
        suspect.kinds,
        before=None if own is None else _median(own.values[own.times < start]),
        during=None if own is None else _median(own.values[own.times >= start]),
        times=() if own is None else tuple(own.times.tolist()),
        values=() if own is None else tuple(own.values.tolist()),
    )


def _median(values: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _services(recorded: IncidentRecorded, topology: Topology) -> list[str]:
    """The incident's own places first, then those a call away from them, then two."""
    names = list(dict.fromkeys(recorded.incident.services))
    for steps in (1, 2):
        names = list(dict.fromkeys((*names, *sorted(topology.near(recorded.incident.services, steps)))))
    return names[:MOST_SERVICES]


def _labels(
    recorded: IncidentRecorded, names: Sequence[str], further_labels: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Every pair of a label and a value that may tie a series to one of the places, each once."""
    seen: set[tuple[str, str]] = set()
    naming = (*service_labels(further_labels), "container")
    told = {*naming, *HOST_LABELS, *POD_LABELS}
    # As the alerts themselves write them, since a name is compared in small letters and without its port.
    of_alerts = ((name, value) for alert in recorded.alerts for name, value in alert.labels.items() if name in told)
    of_names = ((label, name) for name in names for label in naming)
    of_hosts = ((label, name) for name in recorded.incident.services for label in HOST_LABELS)
    for pair in (*of_alerts, *of_names, *of_hosts):
        if pair not in seen:
            seen.add(pair)
            yield pair


def _alert(material: Material, samples: Sequence[Samples]) -> Alert | None:
    """The alert with the metric that it is about, as far as that can be told."""
    if material.lead is None or material.lead_service is None:
        return None
    own = [one.metric for one in samples if one.service == material.lead_service]
    named = set(_names_in(material.lead.generator_url))
    metric = next((name for name in own if name in named or name.split(":")[0] in named), None)
    if metric is None:
        # The name of its rule mostly says what it is about: HighErrorRate, CheckoutLatencyHigh.
        kind = kind_of(_WORDS_OF_A_NAME.sub("_", material.lead.alert_name))
        metric = next((name for name in own if kind in ("latency", "error", "success") and kind_of(name) == kind), "")
    return Alert(material.lead_service, metric, times.to_epoch(material.lead.starts_at))


def _names_in(generator_url: str | None) -> Iterator[str]:
    """What may be names of metrics in the expression that Prometheus links to."""
    try:
        query = parse_qs(urlsplit(generator_url or "").query)
    except ValueError:
        return
    for expression in query.get("g0.expr", ()):
        for name in _METRIC_NAME.findall(expression):
            yield name
            # A rule on a histogram names its parts.
            yield re.sub(r"_(?:bucket|sum|count)$", "", name)
