"""Why was a sample found strange?  The values of one series, its scores below, its anomalies beside."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.source.board import board, choice
from ops.grafana.source.panels import lines, number, rows
from ops.grafana.source.queries import Sql

UID = "sensus-scores"
# Those with anomalies first, then those with the newest samples.
_SERIES = (
    "SELECT s.name AS __text, s.id AS __value FROM reporting.series s "
    "LEFT JOIN (SELECT series_id, max(at) AS at FROM reporting.anomalies GROUP BY 1) a ON a.series_id = s.id "
    "ORDER BY a.at DESC NULLS LAST, s.newest_at DESC NULLS LAST LIMIT 500"
)


def scores() -> Dashboard:
    """Anomaly scores over their series."""
    return board(
        UID,
        "Sensus / Anomaly scores",
        "The samples of a series, how strange each was found, and which of them were anomalies.",
        {
            "The series": [
                lines(
                    "Samples",
                    "The values as they came in, of a counter its growth a second; and what was expected of anomalies.",
                    Sql(
                        """
                        SELECT $__timeGroupAlias(timestamp, $__interval),
                            avg(CASE WHEN per_second THEN grown / passed_s ELSE value END) AS value
                        FROM (
                            SELECT timestamp, value, value - lag(value) OVER in_order AS grown,
                                extract(epoch FROM timestamp - lag(timestamp) OVER in_order) AS passed_s
                            FROM reporting.samples WHERE series_id = $series AND $__timeFilter(timestamp)
                            WINDOW in_order AS (ORDER BY timestamp)
                        ) samples, (SELECT per_second FROM reporting.series WHERE id = $series) judged
                        WHERE NOT per_second OR grown >= 0
                        GROUP BY 1 ORDER BY 1
                        """,
                        over_time=True,
                    ),
                    Sql(
                        """
                        SELECT at AS time, expected_low, expected_high
                        FROM reporting.anomalies WHERE series_id = $series AND $__timeFilter(at) ORDER BY 1
                        """,
                        over_time=True,
                    ),
                    unit="short",
                    width=24,
                ),
                lines(
                    "Scores",
                    "From 0, ordinary, to 1. `score` ranks; `alert` is held off and comparable between series.",
                    Sql(
                        """
                        SELECT $__timeGroupAlias(timestamp, $__interval), max(score) AS score, max(alert) AS alert
                        FROM reporting.scores WHERE series_id = $series AND $__timeFilter(timestamp)
                        GROUP BY 1 ORDER BY 1
                        """,
                        over_time=True,
                    ),
                    unit="percentunit",
                    limits=(0.5,),
                    most=1.0,
                    width=24,
                ),
                rows(
                    "Anomalies of the series",
                    "The newest hundred of the time that is shown, with what told most.",
                    Sql(
                        """
                        SELECT at, value, per_second, expected_low, expected_high, score, alert, most_telling,
                            model_version
                        FROM reporting.anomalies WHERE series_id = $series AND $__timeFilter(at)
                        ORDER BY at DESC LIMIT 100
                        """
                    ),
                    units={"score": "percentunit", "alert": "percentunit"},
                ),
            ],
            "All series": [
                number(
                    "Series",
                    "Series that have samples.",
                    Sql("SELECT count(*) AS series FROM reporting.series WHERE newest_at IS NOT NULL"),
                    unit="short",
                    width=6,
                ),
                number(
                    "Series with anomalies",
                    "Series with an anomaly in the time that is shown.",
                    Sql("SELECT count(DISTINCT series_id) AS series FROM reporting.anomalies WHERE $__timeFilter(at)"),
                    unit="short",
                    width=6,
                ),
                number(
                    "Series behind",
                    "Series whose newest sample has not been scored for more than a minute.",
                    Sql(
                        """
                        SELECT count(*) AS series FROM reporting.series
                        WHERE newest_at > COALESCE(scored_until, '-infinity') + interval '1 minute'
                        """
                    ),
                    unit="short",
                    limits=(1,),
                    width=6,
                ),
                number(
                    "Late samples",
                    "Samples that came behind the watermark of their series; they are stored, and not scored.",
                    Sql("SELECT COALESCE(sum(late_samples), 0) AS samples FROM reporting.series"),
                    unit="short",
                    width=6,
                ),
                rows(
                    "Most anomalies",
                    "The fifty series with the most anomalies in the time that is shown.",
                    Sql(
                        """
                        SELECT s.name, count(*) AS anomalies, max(a.score) AS highest_score, max(a.at) AS newest
                        FROM reporting.anomalies a JOIN reporting.series s ON s.id = a.series_id
                        WHERE $__timeFilter(a.at)
                        GROUP BY 1 ORDER BY 2 DESC LIMIT 50
                        """
                    ),
                    units={"highest_score": "percentunit"},
                ),
            ],
        },
        also=[choice("series", "Series", _SERIES)],
        since="now-24h",
    )
