"""Our fingerprints are those of Prometheus and Alertmanager."""

from __future__ import annotations

import json
from pathlib import Path

from sensus import fingerprint

CAPTURES = Path(__file__).parents[1] / "data" / "alertmanager"


def test_it_agrees_with_every_fingerprint_that_alertmanager_sent() -> None:
    alerts = [
        alert for path in CAPTURES.glob("*.json") for alert in json.loads(path.read_text("utf-8"))["body"]["alerts"]
    ]
    assert len(alerts) == 26
    for alert in alerts:
        assert fingerprint.of_labels(alert["labels"]) == alert["fingerprint"]


def test_the_order_of_labels_does_not_matter_and_every_label_does() -> None:
    labels = {"alertname": "A", "instance": "b", "ä": "ö"}
    assert fingerprint.of_labels(labels) == fingerprint.of_labels(dict(reversed(labels.items())))
    assert fingerprint.of_labels(labels) != fingerprint.of_labels({**labels, "x": ""})
    assert fingerprint.of_labels({"a": "bc"}) != fingerprint.of_labels({"ab": "c"})
