"""Is the work done in time?  Workers, queues, beat, and the servers that they stand on."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.source.board import board
from ops.grafana.source.limits import limit
from ops.grafana.source.panels import lines, number
from ops.grafana.source.queries import Prom

UID = "sensus-work"


def work() -> Dashboard:
    """Workers and queues."""
    return board(
        UID,
        "Sensus / Workers and queues",
        "Who works, what waits and for how long, and how PostgreSQL, Redis and Ollama are.",
        {
            "Verdict": [
                number(
                    "Workers",
                    "Workers of all queues that are at work.",
                    Prom("sum(queue:sensus_workers:count)"),
                    unit="short",
                    limits=(3,),
                    good_above=True,
                ),
                number(
                    "Messages in queues",
                    "Messages that no worker has taken yet.",
                    Prom("sum(queue:sensus_queue_length:max)"),
                    unit="short",
                ),
                number(
                    "Beat's last message",
                    "How long ago beat last sent a message. BeatStopped fires above the limit.",
                    Prom("time() - max(sensus_beat_sent_timestamp_seconds{here})"),
                    unit="s",
                    limits=(90, limit("BeatStopped")),
                ),
                number(
                    "PostgreSQL",
                    "1 while the exporter reaches it. PostgreSQLDown fires at 0.",
                    Prom("min(pg_up)"),
                    unit="bool_on_off",
                    limits=(1,),
                    good_above=True,
                ),
                number(
                    "Redis",
                    "1 while the exporter reaches it. RedisDown fires at 0.",
                    Prom("min(redis_up)"),
                    unit="bool_on_off",
                    limits=(1,),
                    good_above=True,
                ),
                number(
                    "Ollama",
                    "1 while it answers. OllamaServiceDown fires at 0, where it answered within the last week.",
                    Prom('min(probe_success{job="ollama"})'),
                    unit="bool_on_off",
                    limits=(1,),
                    good_above=True,
                ),
            ],
            "Queues": [
                lines(
                    "Messages that wait",
                    "By queue. QueueStalled fires when messages wait and no task ends.",
                    Prom("max by (queue) (sensus_queue_length{here})", "{{queue}}"),
                    unit="short",
                    width=8,
                ),
                lines(
                    "Age of the oldest work",
                    "By kind of work. GroupingBehind fires above the lower line, for alerts, and above the upper one "
                    "ScoringBehind, for samples, and NotificationsUntold.",
                    Prom("max by (kind) (sensus_unfinished_age_seconds{here})", "{{kind}}"),
                    unit="s",
                    limits=(limit("GroupingBehind"), limit("ScoringBehind")),
                    width=8,
                ),
                lines(
                    "Workers by queue",
                    "As the celery exporter or Flower knows them. AIServiceDown fires when a queue has none.",
                    Prom("queue:sensus_workers:count", "{{queue}}"),
                    unit="short",
                    width=8,
                ),
            ],
            "Tasks": [
                lines(
                    "Tasks that ended",
                    "A second, by queue and state.",
                    Prom(
                        "sum by (queue, state) (rate(sensus_tasks_total{here}[$__rate_interval]))",
                        "{{queue}}: {{state}}",
                    ),
                    unit="ops",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Duration",
                    "95th percentile of the run time by task.",
                    Prom(
                        "histogram_quantile(0.95, sum by (task, le) "
                        "(rate(sensus_task_duration_seconds_bucket{here}[$__rate_interval])))",
                        "{{task}}",
                    ),
                    unit="s",
                    width=8,
                ),
                lines(
                    "Samples scored",
                    "A second.",
                    Prom("sum(rate(sensus_samples_scored_total{here}[$__rate_interval]))", "scored"),
                    unit="cps",
                    width=8,
                ),
                lines(
                    "Messages that were lost",
                    "Messages that could not be sent, and unfinished work that the sweep found and sent again.",
                    Prom(
                        "sum(increase(sensus_messages_not_sent_total{here}[$__rate_interval])) or vector(0)", "not sent"
                    ),
                    Prom(
                        "sum by (kind) (increase(sensus_sweep_found_total{here}[$__rate_interval]))", "swept: {{kind}}"
                    ),
                    unit="short",
                ),
                lines(
                    "Told to Alertmanager, and asked of it",
                    "Posts of anomalies and comparisons of the lists of alerts, by what came of them.",
                    Prom(
                        "sum by (outcome) (increase(sensus_anomaly_alert_posts_total{here}[$__rate_interval]))",
                        "told: {{outcome}}",
                    ),
                    Prom(
                        "sum by (outcome) (increase(sensus_reconciler_runs_total{here}[$__rate_interval]))",
                        "compared: {{outcome}}",
                    ),
                    unit="short",
                ),
            ],
            "Servers": [
                lines(
                    "Statements",
                    "A second, by kind.",
                    Prom(
                        "sum by (operation) (rate(sensus_db_query_duration_seconds_count{here}[$__rate_interval]))",
                        "{{operation}}",
                    ),
                    unit="ops",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Connections of PostgreSQL",
                    "By state, and how many there may be.",
                    Prom('sum by (state) (pg_stat_activity_count{job="postgres"})', "{{state}}"),
                    Prom('max(pg_settings_max_connections{job="postgres"})', "most"),
                    unit="short",
                    width=8,
                ),
                lines(
                    "Size of the database",
                    "Of all databases of the server together.",
                    Prom('sum(pg_database_size_bytes{job="postgres"})', "size"),
                    unit="bytes",
                    width=8,
                ),
                lines(
                    "Memory of Redis",
                    "What its data takes, and what it holds.",
                    Prom('max(redis_memory_used_bytes{job="redis"})', "data"),
                    Prom('max(redis_memory_used_rss_bytes{job="redis"})', "held"),
                    unit="bytes",
                    width=8,
                ),
                lines(
                    "Clients of Redis",
                    "Connections that are open.",
                    Prom('max(redis_connected_clients{job="redis"})', "clients"),
                    unit="short",
                    width=8,
                ),
                lines(
                    "Scrapes",
                    "1 while Prometheus gets the figures of a job. TargetDown fires at 0.",
                    Prom("min by (job) (up)", "{{job}}"),
                    unit="short",
                    most=1.0,
                    width=8,
                ),
            ],
        },
    )
