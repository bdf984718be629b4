"""What is wrong at the site, and what was found out about it?  Alerts, anomalies, changes and analyses."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.source.board import board
from ops.grafana.source.panels import lines, number, rows
from ops.grafana.source.queries import Prom, Sql, counted

UID = "sensus-incidents"


def incidents() -> Dashboard:
    """Alerts and what came of them."""
    return board(
        UID,
        "Sensus / Incidents and analyses",
        "What fires, what changed before it, and what the analyses say.",
        {
            "Now": [
                number(
                    "Firing, critical",
                    "Alerts of severity critical that fire now.",
                    Sql(
                        """
                        SELECT count(*) AS alerts FROM reporting.alerts
                        WHERE status = 'firing' AND severity = 'critical'
                        """
                    ),
                    unit="short",
                    width=3,
                    limits=(1,),
                ),
                number(
                    "Firing, all",
                    "Alerts of any severity that fire now.",
                    Sql("SELECT count(*) AS alerts FROM reporting.alerts WHERE status = 'firing'"),
                    unit="short",
                    width=3,
                ),
                number(
                    "Not acknowledged",
                    "Alerts that fire now and that nobody has acknowledged.",
                    Sql(
                        """
                        SELECT count(*) AS alerts FROM reporting.alerts
                        WHERE status = 'firing' AND acknowledged_at IS NULL
                        """
                    ),
                    unit="short",
                    width=3,
                ),
                number(
                    "Open incidents",
                    "Incidents that are not resolved, acknowledged ones among them.",
                    Sql("SELECT count(*) AS incidents FROM reporting.incidents WHERE status <> 'resolved'"),
                    unit="short",
                    width=3,
                ),
                number(
                    "Anomalies told to Alertmanager",
                    "Anomalies that fire in Alertmanager now (SENSUS_ANOMALY_ALERTS).",
                    Sql("SELECT count(*) AS alerts FROM reporting.anomaly_alerts WHERE ends_at IS NULL"),
                    unit="short",
                ),
                number(
                    "Time to an analysis",
                    "Half of the analyses of the time that is shown were finished within this time.",
                    Sql(
                        """
                        SELECT COALESCE(percentile_cont(0.5) WITHIN GROUP (
                            ORDER BY extract(epoch FROM finished_at - created_at)
                        ), 0) AS seconds
                        FROM reporting.analyses WHERE finished_at IS NOT NULL AND $__timeFilter(created_at)
                        """
                    ),
                    unit="s",
                    limits=(30, 120),
                ),
                number(
                    "Found helpful",
                    "The share of judged analyses of the time that is shown that people found helpful.",
                    Sql(
                        """
                        SELECT COALESCE(avg(helpful::int), 0) AS share
                        FROM reporting.feedback WHERE $__timeFilter(created_at)
                        """
                    ),
                    unit="percentunit",
                ),
                rows(
                    "Incidents",
                    "Open ones first, then the newest; the root cause is that of the newest finished analysis.",
                    Sql(
                        """
                        SELECT i.id, i.title, i.severity, i.status, i.opened_at, extract(epoch FROM i.lasted) AS lasted,
                            i.alerts, i.anomalies, array_to_string(i.services, ', ') AS services,
                            COALESCE(i.confirmed_cause, n.root_cause) AS root_cause, n.confidence, i.first_suspect,
                            i.acknowledged_by
                        FROM reporting.incidents i
                        LEFT JOIN LATERAL (
                            SELECT root_cause, confidence FROM reporting.analyses
                            WHERE incident_id = i.id AND status = 'done' ORDER BY id DESC LIMIT 1
                        ) n ON true
                        WHERE i.status <> 'resolved' OR $__timeFilter(i.last_activity_at)
                        ORDER BY i.status = 'resolved', i.opened_at DESC LIMIT 100
                        """
                    ),
                    units={"lasted": "s", "confidence": "percentunit"},
                ),
                rows(
                    "Alerts that fire",
                    "The newest hundred, with the root cause of the newest finished analysis of each.",
                    Sql(
                        """
                        SELECT a.starts_at, a.alert_name, a.severity, extract(epoch FROM a.lasted) AS lasted,
                            a.times_received, a.acknowledged_by, n.root_cause, n.confidence, a.labels::text AS labels
                        FROM reporting.alerts a
                        LEFT JOIN LATERAL (
                            SELECT root_cause, confidence FROM reporting.analyses
                            WHERE alert_id = a.id AND status = 'done' ORDER BY id DESC LIMIT 1
                        ) n ON true
                        WHERE a.status = 'firing'
                        ORDER BY a.starts_at DESC LIMIT 100
                        """
                    ),
                    units={"lasted": "s", "confidence": "percentunit"},
                ),
            ],
            "Over time": [
                lines(
                    "Alerts that began",
                    "Episodes by severity.",
                    counted("alerts", at="starts_at", by="COALESCE(severity, 'none')", name="alerts"),
                    unit="short",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Anomalies",
                    "Samples found strange, by the name of their metric.",
                    counted("anomalies", at="at", by="metric_name", name="anomalies"),
                    unit="short",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Analyses",
                    "Analyses by what they rest on: a model's answer, the evidence alone, or too little of both.",
                    counted("analyses", at="created_at", by="COALESCE(outcome, status)", name="analyses"),
                    unit="short",
                    stacked=True,
                    width=8,
                ),
            ],
            "How fast": [
                lines(
                    "Incidents that opened",
                    "By severity.",
                    counted("incidents", at="opened_at", by="COALESCE(severity, 'none')", name="incidents"),
                    unit="short",
                    stacked=True,
                    width=8,
                ),
                lines(
                    "Time to acknowledge and to resolve",
                    "Medians of the incidents that opened, by the time of their opening.",
                    Sql(
                        """
                        SELECT $__timeGroupAlias(opened_at, $__interval),
                            percentile_cont(0.5) WITHIN GROUP (
                                ORDER BY extract(epoch FROM acknowledged_at - opened_at)
                            ) AS acknowledged,
                            percentile_cont(0.5) WITHIN GROUP (
                                ORDER BY extract(epoch FROM resolved_at - opened_at)
                            ) AS resolved
                        FROM reporting.incidents WHERE $__timeFilter(opened_at)
                        GROUP BY 1 ORDER BY 1
                        """,
                        over_time=True,
                    ),
                    unit="s",
                    width=8,
                ),
                number(
                    "Notifications",
                    "States of incidents that were told to people in the time that is shown.",
                    Sql(
                        """
                        SELECT count(*) AS notifications FROM reporting.notifications
                        WHERE status = 'sent' AND $__timeFilter(created_at)
                        """
                    ),
                    unit="short",
                ),
                number(
                    "Notifications that failed",
                    "Those that were given up in the time that is shown.",
                    Sql(
                        """
                        SELECT count(*) AS notifications FROM reporting.notifications
                        WHERE status = 'failed' AND $__timeFilter(created_at)
                        """
                    ),
                    unit="short",
                    limits=(1,),
                ),
            ],
            "What happened": [
                rows(
                    "Timeline",
                    "The newest two hundred events of alerts, incidents, anomalies and changes, in one order.",
                    Sql(
                        """
                        SELECT * FROM (
                            SELECT h.at, 'alert ' || h.change AS event, h.alert_name AS what, h.severity AS detail
                            FROM reporting.alert_changes h WHERE $__timeFilter(h.at)
                            UNION ALL
                            SELECT h.at, 'incident ' || h.change, h.title, h.severity
                            FROM reporting.incident_changes h WHERE $__timeFilter(h.at)
                            UNION ALL
                            SELECT a.at, 'anomaly', a.metric_name, a.labels::text
                            FROM reporting.anomalies a WHERE $__timeFilter(a.at)
                            UNION ALL
                            SELECT c.at, c.kind, c.title, c.labels::text
                            FROM reporting.changes c WHERE $__timeFilter(c.at)
                        ) events
                        ORDER BY at DESC LIMIT 200
                        """
                    ),
                    width=12,
                ),
                rows(
                    "What fires most",
                    "Episodes of the time that is shown by the name of the alert, and how long they lasted together.",
                    Sql(
                        """
                        SELECT alert_name, severity, count(*) AS episodes,
                            extract(epoch FROM sum(lasted)) AS lasted, count(acknowledged_at) AS acknowledged
                        FROM reporting.alerts WHERE $__timeFilter(starts_at)
                        GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 50
                        """
                    ),
                    units={"lasted": "s"},
                    width=12,
                ),
            ],
            "Analyses": [
                rows(
                    "Newest analyses",
                    "The root cause as the analysis names it; confidence is from statistics, never the model's word.",
                    Sql(
                        """
                        SELECT created_at, alert_name, severity, outcome, model_name, root_cause, mitigation,
                            confidence, extract(epoch FROM finished_at - created_at) AS took
                        FROM reporting.analyses WHERE status = 'done' AND $__timeFilter(created_at)
                        ORDER BY id DESC LIMIT 100
                        """
                    ),
                    units={"confidence": "percentunit", "took": "s"},
                ),
                lines(
                    "Answers of the model",
                    "Questions to the model a minute, by what came of them.",
                    Prom("60 * sum by (outcome) (rate(sensus_analyses_total{here}[$__rate_interval]))", "{{outcome}}"),
                    unit="cpm",
                ),
                lines(
                    "Analyses that wait",
                    "Analyses that are not finished yet, and the age of the oldest.",
                    Prom('max(sensus_unfinished{here, kind="analyses"})', "waiting"),
                    unit="short",
                ),
            ],
        },
        since="now-24h",
    )
