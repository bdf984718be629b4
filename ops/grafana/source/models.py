"""Are the models good, and fresh?  The detector's versions and evaluations, and the language model's answers."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.source.board import board
from ops.grafana.source.limits import limit
from ops.grafana.source.panels import lines, number, rows
from ops.grafana.source.queries import Prom, Sql, counted

UID = "sensus-models"


def models() -> Dashboard:
    """Detection model and language model."""
    return board(
        UID,
        "Sensus / Models",
        "Which version scores, how good it was found, when it was trained, and how fast the language model answers.",
        {
            "In force": [
                number(
                    "Trained",
                    "How long ago the version in force was trained.",
                    Prom("time() - max(sensus_model_trained_timestamp_seconds{here})"),
                    unit="s",
                    decimals=1,
                ),
                number(
                    "Last evaluation",
                    "How long ago an evaluation came to its end; due every six hours. ModelStale fires above.",
                    Prom('time() - max(sensus_last_run_timestamp_seconds{here, kind="evaluate"})'),
                    unit="s",
                    limits=(limit("ModelStale"),),
                ),
                number(
                    "Last training",
                    "How long ago a training came to its end; due each night.",
                    Prom('time() - max(sensus_last_run_timestamp_seconds{here, kind="train"})'),
                    unit="s",
                    limits=(180_000,),
                ),
                number(
                    "Anomalies per sample",
                    "The share of the last hour's samples that were anomalies. HighAnomalyRate fires above the limit.",
                    Prom("sensus:anomalies_per_sample:ratio1h or vector(0)"),
                    unit="percentunit",
                    limits=(limit("HighAnomalyRate"),),
                    decimals=2,
                ),
                number(
                    "Answer of the language model, p95",
                    "Nineteen of twenty questions were answered within this time. HighLLMResponseTime fires above.",
                    Prom("sensus:llm_duration_seconds:p95_15m >= 0 or vector(0)"),
                    unit="s",
                    limits=(limit("HighLLMResponseTime"),),
                ),
                number(
                    "Versions refused",
                    "Versions whose bytes were not those that were stored, in the time that is shown.",
                    Prom("sum(increase(sensus_models_refused_total{here}[$__range]))", instant=True),
                    unit="short",
                    limits=(1,),
                    decimals=0,
                ),
            ],
            "Detection": [
                rows(
                    "Versions",
                    "Newest first, with the figures of the newest evaluation of each.",
                    Sql(
                        """
                        SELECT version, algorithm, is_active, training_date, activated_at, auroc, average_precision,
                            detection_rate, false_alarms_per_week, data_since, data_until
                        FROM reporting.models ORDER BY id DESC LIMIT 50
                        """
                    ),
                    units={"detection_rate": "percentunit"},
                ),
                rows(
                    "Runs",
                    "Trainings and evaluations, newest first, and who asked for them.",
                    Sql(
                        """
                        SELECT created_at, kind, state, outcome, version,
                            extract(epoch FROM finished_at - started_at) AS took, requested_by, error
                        FROM reporting.runs ORDER BY created_at DESC LIMIT 50
                        """
                    ),
                    units={"took": "s"},
                ),
                lines(
                    "Faults found",
                    "The share of injected faults that champion and challenger page for, by the newest evaluation.",
                    Prom(
                        'max by (algorithm, role) (sensus_model_evaluation{here, figure="detection_rate"})',
                        "{{algorithm}} {{role}}",
                    ),
                    unit="percentunit",
                    most=1.0,
                    width=8,
                ),
                lines(
                    "Precision by feedback",
                    "The share of real ones among the anomalies that people judged.",
                    Prom(
                        "max by (algorithm) "
                        '(sensus_model_evaluation{here, figure="feedback_precision", role="champion"})',
                        "{{algorithm}}",
                    ),
                    unit="percentunit",
                    most=1.0,
                    width=8,
                ),
                lines(
                    "Drift",
                    "How far each feature of the last day is from what the champion was trained on; 0.25 is much.",
                    Prom('max by (feature) (sensus_model_drift{here, role="champion"})', "{{feature}}"),
                    unit="short",
                    limits=(0.25,),
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
                    "Scores by version",
                    "Samples scored by each version of the model.",
                    counted("scores", at="timestamp", by="COALESCE(model_version, 'none yet')", name="scores"),
                    unit="short",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Highest scores",
                    "The mean and the highest score of all series over time.",
                    Sql(
                        """
                        SELECT $__timeGroupAlias(timestamp, $__interval), avg(score) AS mean, max(score) AS highest
                        FROM reporting.scores WHERE $__timeFilter(timestamp)
                        GROUP BY 1 ORDER BY 1
                        """,
                        over_time=True,
                    ),
                    unit="percentunit",
                    most=1.0,
                    width=8,
                ),
            ],
            "Language model": [
                lines(
                    "Questions",
                    "Questions to the model a minute, by what came of them.",
                    Prom(
                        "60 * sum by (outcome) (rate(sensus_llm_duration_seconds_count{here}[$__rate_interval]))",
                        "{{outcome}}",
                    ),
                    unit="cpm",
                    width=8,
                ),
                lines(
                    "Duration",
                    "Of one question to the model. HighLLMResponseTime fires above the line.",
                    *(
                        Prom(
                            f"histogram_quantile({share}, sum by (le) "
                            "(rate(sensus_llm_duration_seconds_bucket{here}[$__rate_interval])))",
                            f"p{round(share * 100)}",
                        )
                        for share in (0.5, 0.95)
                    ),
                    unit="s",
                    limits=(limit("HighLLMResponseTime"),),
                    width=8,
                ),
                lines(
                    "Judged by people",
                    "Analyses that were judged, by the judgement.",
                    counted(
                        "feedback",
                        at="created_at",
                        by="CASE WHEN helpful THEN 'helpful' ELSE 'not helpful' END",
                        name="analyses",
                    ),
                    unit="short",
                    stacked=True,
                    width=8,
                ),
            ],
        },
        since="now-24h",
    )
