"""Every Prometheus metric of Sensus, named once; the processes of a machine put their figures together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

alerts_received = Counter("sensus_alerts_received_total", "Alerts accepted.", ["status"])
alerts_truncated = Counter(
    "sensus_alerts_truncated_total", "Alerts that Alertmanager left out of its webhooks (max_alerts)."
)
metrics_received = Counter("sensus_metrics_received_total", "Samples accepted.")
samples_refused = Counter("sensus_samples_refused_total", "Samples refused.", ["reason"])
samples_late = Counter("sensus_samples_late_total", "Samples stored behind the scoring watermark, hence not scored.")
samples_ignored = Counter(
    "sensus_samples_ignored_total", "Native histograms and exemplars of remote_write, which are not kept.", ["kind"]
)
staleness_markers = Counter("sensus_staleness_markers_total", "Markers of the end of a series; they are no samples.")
quarantined = Counter("sensus_quarantined_total", "Alerts put aside because they can't be stored.", ["reason"])
events_received = Counter("sensus_events_received_total", "Change events accepted.", ["kind"])
requests_refused = Counter(
    "sensus_requests_refused_total", "Requests answered 503 because no thread was free for them in time."
)
processing_duration = Histogram(
    "sensus_processing_duration_seconds", "Time from request to commit.", ["kind"], buckets=_LATENCY_S
)
anomalies_detected = Counter("sensus_anomalies_detected_total", "Anomalies found by scoring.")
samples_scored = Counter("sensus_samples_scored_total", "Samples scored.")
models_refused = Counter(
    "sensus_models_refused_total", "Model versions not used because their bytes are not those that were stored."
)
analyses = Counter("sensus_analyses_total", "Root-cause analyses finished.", ["outcome"])
llm_duration = Histogram(
    "sensus_llm_duration_seconds", "Time of one question to the model.", ["outcome"], buckets=_LONG_S
)
incidents_changed = Counter("sensus_incidents_total", "Incidents by what happened to them.", ["change"])
incident_members = Counter("sensus_incident_members_total", "Alerts and anomalies that joined incidents.", ["kind"])
ranking_duration = Histogram(
    "sensus_ranking_duration_seconds", "Time to rank the suspects of one incident.", buckets=(*_LATENCY_S, 30.0)
)
topology_edges = Counter("sensus_topology_edges_total", "Calls and places that were not known before.", ["source"])
runbooks = Counter("sensus_runbooks_total", "Files of runbooks that were read or are gone.", ["change"])
feedback = Counter("sensus_feedback_total", "Judgements of analyses by people.", ["helpful"])
causes_confirmed = Counter(
    "sensus_confirmed_causes_total",
    "Causes told by people, by where they stood among the suspects.",
    ["suspect"],
)
notifications = Counter(
    "sensus_notifications_total",
    "Notifications by what came of a try; those that wait are unfinished work.",
    ["outcome"],
)
anomaly_feedback = Counter("sensus_anomaly_feedback_total", "Judgements of anomalies by people.", ["verdict"])
db_query_duration = Histogram(
    "sensus_db_query_duration_seconds", "Time of one statement.", ["operation"], buckets=(0.001, *_LATENCY_S)
)
messages_lost = Counter(
    "sensus_messages_not_sent_total",
    "Messages to workers that could not be sent; the sweep makes up for them.",
    ["task"],
)
reconciler_runs = Counter(
    "sensus_reconciler_runs_total", "Comparisons of our alerts with the list of the Alertmanager.", ["outcome"]
)
alerts_reconciled = Counter(
    "sensus_alerts_reconciled_total", "Alerts that were put right by the list of the Alertmanager.", ["change"]
)
anomaly_alerts = Counter("sensus_anomaly_alerts_total", "Anomalies told to the Alertmanager as alerts.", ["change"])
anomaly_alert_posts = Counter("sensus_anomaly_alert_posts_total", "Posts of anomalies to an Alertmanager.", ["outcome"])
alerts_echoed = Counter("sensus_alerts_echoed_total", "Our own anomalies that came back as alerts, and are not stored.")
alerts_stale = Counter("sensus_alerts_stale_total", "Alerts that nobody repeated for too long.")
sweep_found = Counter("sensus_sweep_found_total", "Unfinished work found by the sweep.", ["kind"])
tasks_run = Counter("sensus_tasks_total", "Tasks ended.", ["queue", "task", "state"])
task_duration = Histogram("sensus_task_duration_seconds", "Run time of tasks.", ["task"], buckets=_LONG_S)
# The newest of all processes, which is beat's: no other one sends what is scheduled.
beat_sent = Gauge("sensus_beat_sent_timestamp_seconds", "When beat last sent a message.", multiprocess_mode="max")

# A rate over a counter that appears with its first event misses that event.
for _reason in ("invalid", "too_old", "too_far_ahead", "not_finite", "kind", "new_series"):
    samples_refused.labels(_reason)
for _status in ("firing", "resolved"):
    alerts_received.labels(_status)
for _outcome in ("model", "evidence_only", "insufficient"):
    analyses.labels(_outcome)
for _change in ("opened", "grown", "reopened", "merged", "resolved"):
    incidents_changed.labels(_change)
for _suspect in ("first", "listed", "other", "unranked"):
    causes_confirmed.labels(_suspect)
for _change in ("read", "removed"):
    runbooks.labels(_change)
for _outcome in ("sent", "retried", "failed", "skipped"):
    notifications.labels(_outcome)
for _source in ("api", "labels", "traces"):
    topology_edges.labels(_source)
for _kind in ("alert", "anomaly"):
    incident_members.labels(_kind)
for _kind in ("alerts", "metrics", "remote_write", "otlp", "events"):
    processing_duration.labels(_kind)
for _kind in ("histogram", "exemplar"):
    samples_ignored.labels(_kind)
for _reason in ("nul", "wrong_type", "too_long", "too_many_labels", "too_deep", "no_labels", "empty_name", "bad_time"):
    quarantined.labels(_reason)
for _outcome in ("done", "away", "unreadable"):
    reconciler_runs.labels(_outcome)
    anomaly_alert_posts.labels(_outcome)
for _change in ("fired", "ended"):
    anomaly_alerts.labels(_change)
for _change in ("stored", "reopened", "resolved", "not_storable"):
    alerts_reconciled.labels(_change)
for _verdict in ("real", "false"):
    anomaly_feedback.labels(_verdict)
for _kind in ("series", "analyses", "audit"):
    sweep_found.labels(_kind)


def share_between_processes(directory: Path) -> None:
    """Make `directory` the home of this machine's figures, empty.  Before any process that shares figures starts."""
    directory.mkdir(parents=True, exist_ok=True)
    for left_behind in directory.glob("*.db"):
        left_behind.unlink()


def is_shared() -> bool:
    """Whether several processes put their figures together."""
    return DIRECTORY_VARIABLE in os.environ


def registry_of_all_processes() -> CollectorRegistry:
    """A registry that answers for every process of this machine, this one alone when none share."""
    from prometheus_client import REGISTRY

    if not is_shared():
        return REGISTRY
    registry = CollectorRegistry(support_collectors_without_names=True)
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def forget_process(pid: int) -> None:
    """Drop the live gauges of a process that has ended."""
    if is_shared():
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observe how long the block took, whether it succeeded or not."""
    began = perf_counter()
    try:
        yield
    finally:
        histogram.observe(perf_counter() - began)
