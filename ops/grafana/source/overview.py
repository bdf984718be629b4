"""Is Sensus well?  The verdict first, then requests, what comes in, what comes of it, and what is running out."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.source.board import board
from ops.grafana.source.limits import limit, names
from ops.grafana.source.panels import lines, number
from ops.grafana.source.queries import Prom, Sql

UID = "sensus-overview"
_PROCESSING = "sum by (le) (rate(sensus_processing_duration_seconds_bucket{here}[$__rate_interval]))"
_REQUESTS = (
    'sum by (le) (rate(flask_http_request_duration_seconds_bucket{here, url_rule!="/api/v1/stream"}[$__rate_interval]))'
)


def overview() -> Dashboard:
    """The dashboard to begin with."""
    return board(
        UID,
        "Sensus / Overview",
        "Whether Sensus takes in what is sent, works it off in time, and has room left.",
        {
            "Verdict": [
                number(
                    "Total alerts",
                    "Alerts accepted in the time that is shown, repeats among them.",
                    Prom("sum(increase(sensus_alerts_received_total{here}[$__range]))", instant=True),
                    unit="short",
                    decimals=0,
                ),
                number(
                    "Total metrics",
                    "Samples accepted in the time that is shown.",
                    Prom("sum(increase(sensus_metrics_received_total{here}[$__range]))", instant=True),
                    unit="short",
                    decimals=0,
                ),
                number(
                    "Ingestion rate",
                    "Samples a second over five minutes. HighMetricVolume fires above the limit.",
                    Prom("sensus:metrics_received:rate5m"),
                    unit="wps",
                    limits=(limit("HighMetricVolume"),),
                ),
                number(
                    "Processing, p95",
                    "Nineteen of twenty requests that bring something are committed within this time (five minutes).",
                    Prom(
                        "histogram_quantile(0.95, sum by (le) "
                        "(rate(sensus_processing_duration_seconds_bucket{here}[5m])))"
                    ),
                    unit="s",
                    limits=(0.25, limit("HighRequestLatency")),
                ),
                number(
                    "Processing, p99",
                    "Ninety-nine of a hundred requests that bring something are committed within this time.",
                    Prom(
                        "histogram_quantile(0.99, sum by (le) "
                        "(rate(sensus_processing_duration_seconds_bucket{here}[5m])))"
                    ),
                    unit="s",
                    limits=(limit("HighRequestLatency"), limit("VeryHighRequestLatency")),
                ),
                number(
                    "Oldest unfinished work",
                    "How long the oldest stored work of any kind has waited. ScoringBehind fires above the limit.",
                    Prom("max(sensus_ingest_lag_seconds{here})"),
                    unit="s",
                    limits=(120, limit("ScoringBehind")),
                ),
                number(
                    "Alerts firing now",
                    "Alerts of all senders that are stored as firing.",
                    Sql("SELECT count(*) AS firing FROM reporting.alerts WHERE status = 'firing'"),
                    unit="short",
                    width=6,
                ),
                number(
                    "Anomalies",
                    "Anomalies found in the time that is shown.",
                    Sql("SELECT count(*) AS anomalies FROM reporting.anomalies WHERE $__timeFilter(at)"),
                    unit="short",
                    width=6,
                ),
                number(
                    "Queues with workers",
                    "Of the three queues those that a worker listens to. AIServiceDown fires when one is missing.",
                    Prom("count(queue:sensus_workers:count > 0)"),
                    unit="short",
                    limits=(3,),
                    good_above=True,
                    width=6,
                ),
                number(
                    "Alerts about Sensus",
                    "Alerts of docs/runbook.md that fire at present.",
                    Prom(f'count(ALERTS{{alertstate="firing", alertname=~"{"|".join(names())}"}}) or vector(0)'),
                    unit="short",
                    limits=(1,),
                    width=6,
                ),
            ],
            "Requests": [
                lines(
                    "Requests",
                    "Requests a second by status.",
                    Prom("sum by (status) (rate(flask_http_request_total{here}[$__rate_interval]))", "{{status}}"),
                    unit="reqps",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Errors",
                    "The share of requests that were answered with 5xx, and of those that were turned away with 429.",
                    Prom(
                        'sum(rate(flask_http_request_total{here, status=~"5.."}[$__rate_interval])) '
                        "/ sum(rate(flask_http_request_total{here}[$__rate_interval])) "
                        "or 0 * sum(rate(flask_http_request_total{here}[$__rate_interval]))",
                        "5xx",
                    ),
                    Prom(
                        'sum(rate(flask_http_request_total{here, status="429"}[$__rate_interval])) '
                        "/ sum(rate(flask_http_request_total{here}[$__rate_interval])) "
                        "or 0 * sum(rate(flask_http_request_total{here}[$__rate_interval]))",
                        "429",
                    ),
                    unit="percentunit",
                    width=8,
                ),
                lines(
                    "Duration of requests",
                    "All requests but the console's stream, which stays open. HighRequestLatency fires above the line.",
                    *(
                        Prom(f"histogram_quantile({share}, {_REQUESTS})", f"p{round(share * 100)}")
                        for share in (0.5, 0.95, 0.99)
                    ),
                    unit="s",
                    limits=(limit("HighRequestLatency"),),
                    width=8,
                ),
            ],
            "What comes in": [
                lines(
                    "Alerts",
                    "Alerts a second by their status. HighAlertVolume fires above the line.",
                    Prom("sum by (status) (rate(sensus_alerts_received_total{here}[$__rate_interval]))", "{{status}}"),
                    unit="cps",
                    limits=(limit("HighAlertVolume"),),
                    width=8,
                ),
                lines(
                    "Samples",
                    "Samples a second: accepted, refused, and stored behind the scoring watermark.",
                    Prom("sum(rate(sensus_metrics_received_total{here}[$__rate_interval]))", "accepted"),
                    Prom("sum(rate(sensus_samples_refused_total{here}[$__rate_interval]))", "refused"),
                    Prom("sum(rate(sensus_samples_late_total{here}[$__rate_interval]))", "late"),
                    unit="cps",
                    width=8,
                ),
                lines(
                    "Time from request to commit",
                    "95th and 99th percentile by kind of request.",
                    Prom(f"histogram_quantile(0.95, {_PROCESSING})", "p95"),
                    Prom(f"histogram_quantile(0.99, {_PROCESSING})", "p99"),
                    unit="s",
                    width=8,
                ),
                lines(
                    "Put aside and left out",
                    "Alerts in quarantine, and those that Alertmanager cut off. IngestQuarantine fires on any.",
                    Prom("sum(increase(sensus_quarantined_total{here}[$__rate_interval]))", "quarantine"),
                    Prom("sum(increase(sensus_alerts_truncated_total{here}[$__rate_interval]))", "truncated"),
                    unit="short",
                    width=8,
                ),
                lines(
                    "Unfinished work",
                    "Stored work that is not done yet, by kind.",
                    Prom("max by (kind) (sensus_unfinished{here})", "{{kind}}"),
                    unit="short",
                    width=8,
                ),
                lines(
                    "Anomalies and analyses",
                    "Anomalies found, and root-cause analyses finished, a minute.",
                    Prom("60 * sum(rate(sensus_anomalies_detected_total{here}[$__rate_interval]))", "anomalies"),
                    Prom(
                        "60 * sum by (outcome) (rate(sensus_analyses_total{here}[$__rate_interval]))",
                        "analyses: {{outcome}}",
                    ),
                    unit="cpm",
                    width=8,
                ),
            ],
            "Room left": [
                lines(
                    "Memory of its limit",
                    "What each container has taken of what it may, or the machine of what it has. "
                    "HighMemoryUsage fires above the line.",
                    Prom(
                        "max by (job, instance) (sensus_memory_used_bytes{here} / sensus_memory_limit_bytes{here})",
                        "{{instance}}",
                    ),
                    unit="percentunit",
                    limits=(limit("HighMemoryUsage"),),
                    width=6,
                ),
                lines(
                    "Memory",
                    "Resident memory of the largest process of a kind.",
                    Prom("max by (process) (sensus_process_resident_memory_bytes{here})", "{{process}}"),
                    unit="bytes",
                    width=6,
                ),
                lines(
                    "CPU",
                    "Cores in use by process. HighCPUUsage fires when one process is above the line for half an hour.",
                    Prom(
                        "max by (process) (rate(sensus_process_cpu_seconds_total{here}[$__rate_interval]))",
                        "{{process}}",
                    ),
                    unit="percentunit",
                    limits=(limit("HighCPUUsage"),),
                    width=6,
                ),
                lines(
                    "Statements",
                    "95th percentile of database statements by kind. SlowDatabaseQueries fires above the line.",
                    Prom(
                        "histogram_quantile(0.95, sum by (operation, le) "
                        "(rate(sensus_db_query_duration_seconds_bucket{here}[$__rate_interval])))",
                        "{{operation}}",
                    ),
                    unit="s",
                    limits=(limit("SlowDatabaseQueries"),),
                    width=6,
                ),
            ],
        },
    )
