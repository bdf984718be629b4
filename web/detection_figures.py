"""What does Prometheus get of the models that score?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from db.queries.detection_figures import DetectionFigures
from sensus import times


def families(found: Sequence[DetectionFigures]) -> Iterator[Metric]:
    """Version, age, evaluation and drift of each."""
    info = GaugeMetricFamily(
        "sensus_model_info", "The versions of the detection models that score.", labels=["version", "algorithm", "role"]
    )
    trained = GaugeMetricFamily(
        "sensus_model_trained_timestamp_seconds",
        "When a version that scores was trained.",
        labels=["algorithm", "role"],
    )
    evaluation = GaugeMetricFamily(
        "sensus_model_evaluation",
        "What the newest evaluation of a version that scores found.",
        labels=["algorithm", "role", "figure"],
    )
    drift = GaugeMetricFamily(
        "sensus_model_drift",
        "How far a feature of the last day is from what the version was trained on: its population stability index.",
        labels=["algorithm", "role", "feature"],
    )
    for one in found:
        info.add_metric([one.version, one.algorithm, one.role], 1)
        trained.add_metric([one.algorithm, one.role], times.to_epoch(one.trained_at))
        for name, value in one.evaluation.items():
            evaluation.add_metric([one.algorithm, one.role, name], value)
        for name, value in one.drift.items():
            drift.add_metric([one.algorithm, one.role, name], value)
    return iter((info, trained, evaluation, drift))
