"""What is an anomaly called as an alert?  Labels that identify its series, and words for people."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from db.models.anomaly_alert import ALERT_NAME
from db.queries.anomaly_alerts import AsAlert, Strange
from sensus import fingerprint

SEVERITY = "warning"
# Of the sample's own labels those that we need are kept beside ours, as Prometheus does it.
_EXPORTED = "exported_"
# Older Alertmanagers refuse any other name.
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]|^(?=[0-9])")
# Two names may become one, so what had to be written otherwise stands here as it was.
_ODD = "series_labels"
_MOST_CHARACTERS = 500
_STRONGEST = 3


def as_alert(anomaly: Strange) -> AsAlert:
    """The anomaly with its name, labels and words."""
    labels = labels_of(anomaly.metric_name, anomaly.labels)
    return AsAlert(
        anomaly=anomaly,
        fingerprint=fingerprint.of_labels(labels),
        labels=labels,
        annotations=annotations_of(anomaly.metric_name, anomaly.score, anomaly.data),
    )


def labels_of(metric_name: str, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of an alert about this series: two series have the same only where Prometheus takes them for one."""
    own = {"alertname": ALERT_NAME, "severity": SEVERITY, "metric_name": metric_name}
    # An empty value is no label, for an Alertmanager as for Prometheus.
    given = {name: value for name, value in labels.items() if value}
    named = {name: value for name, value in given.items() if _fits(name) and name not in own and name != _ODD}
    odd: dict[str, str] = {}
    for name, value in sorted(given.items()):
        fit = _EXPORTED + name if name in own else _NOT_IN_A_NAME.sub("_", name)
        # Who has the other name already would be taken for one that was written otherwise.
        is_taken = fit != name and fit in given
        is_like_renamed = name.removeprefix(_EXPORTED) in own and name not in own
        if is_taken:
            odd[fit] = given[fit]
        if is_taken or is_like_renamed or (name not in named and name not in own):
            odd[name] = value
        if fit not in own and fit != _ODD and _fits(fit):
            named.setdefault(fit, value)
    if odd:
        named[_ODD] = _told(odd)
    return {**named, **own}


def annotations_of(metric_name: str, score: float, data: Mapping[str, Any]) -> dict[str, str]:
    """What people read: the value, where it was expected, and what made it strange."""
    low, high = data.get("expected_low"), data.get("expected_high")
    value = _number(data.get("value"))
    features = [part["name"] for part in data.get("features", ())[:_STRONGEST] if part.get("contribution")]
    if data.get("per_second"):
        metric_name, value = f"growth of {metric_name}", f"{value} per second"
    told = [f"{metric_name} is {value}, expected was {_number(low)} to {_number(high)}."]
    if features:
        told.append(f"Most telling: {', '.join(features)}.")
    told.append(f"Score {score:.2f}, model {data.get('model_version', 'unknown')}.")
    return {"summary": f"{metric_name} is strange: {value}", "description": " ".join(told)}


def _fits(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _told(odd: Mapping[str, str]) -> str:
    text = json.dumps(odd, ensure_ascii=False, separators=(",", ":"))
    # Longer ones could not be stored as a label by those who get the alert.
    return text if len(text) <= _MOST_CHARACTERS else hashlib.sha256(text.encode()).hexdigest()


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"
