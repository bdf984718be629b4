"""Lists stay quick on full tables: every statement behind them walks an index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import ClauseElement, TextClause, text
from sqlalchemy.orm import Session

from db.models.analysis import ANOMALY, LLM
from db.queries import alert_reads, analyses, analysis_reads, model_reads, sample_reads, series_reads, upkeep
from db.queries.alert_reads import AlertFilter
from db.queries.analysis_reads import AnomalyFilter
from db.queries.labels import Matcher
from db.queries.series_reads import Selector
from db.session import Database
from sensus import times
from tests.integration.read.rows import NOON
from tests.servers import PrivateServers

# `make prove` sets 20: 1,000,000 alerts and 5,000,000 samples.
_SCALE = int(os.environ.get("TESTS_PLANS_SCALE", "1"))
_ALERTS = 50_000 * _SCALE
_SAMPLED = 125 * _SCALE  # series with samples
_ROWS = {
    "alerts (fingerprint, alert_name, severity, labels, annotations, starts_at, status)": f"""
        SELECT md5(i::text), 'Alert' || i % 200, CASE WHEN i % 1000 = 0 THEN 'page' ELSE 'info' END,
               jsonb_build_object('instance', 'web-' || i % 5000, 'job', 'node'), '{{}}'::jsonb,
               now() - make_interval(mins => {_ALERTS} - i),
               CASE WHEN i > {_ALERTS} - 100 THEN 'firing' ELSE 'resolved' END
        FROM generate_series(1, {_ALERTS}) AS i
    """,
    "series (metric_name, labels, digest)": """
        SELECT 'metric' || i % 200, jsonb_build_object('instance', 'web-' || i), sha256(i::text::bytea)
        FROM generate_series(1, 10000) AS i
    """,
    "series_progress (series_id, newest_at)": "SELECT id, now() FROM series",
    "samples (series_id, timestamp, value)": f"""
        SELECT series.id, now() - make_interval(mins => m), m
        FROM series, generate_series(1, 2000) AS m WHERE series.id <= {_SAMPLED}
    """,
    "scores (series_id, timestamp, score, alert, state, model_version_id)": """
        SELECT series_id, timestamp, 0.5, 0.1, 1, 1 FROM samples WHERE series_id <= 50
    """,
}
_INCIDENTS = {
    "incidents (title, labels, status, opened_at, last_activity_at, created_at, confirmed_cause)": """
        SELECT 'Incident ' || i, '{}'::jsonb, CASE WHEN i % 1000 = 0 THEN 'open' ELSE 'resolved' END, at, at, at,
            CASE WHEN i % 100 = 0 THEN 'the disk' END
        FROM generate_series(1, 20000) AS i, LATERAL (SELECT now() - make_interval(hours => 20000 - i) AS at) AS a
    """,
    # The alerts of the oldest are forgotten.
    "incident_alerts (alert_id, incident_id, reason, strength)": """
        SELECT i, i, 'the first of its incident', 1 FROM generate_series(17000, 20000) AS i
    """,
}
_ANALYSES = (
    "ai_analysis_results (analysis_type, alert_id)",
    "SELECT 'llm_analysis', id FROM alerts WHERE id % 50 = 0",
)
_ANSWERED_ALERTS = (
    "ai_analysis_results (analysis_type, alert_id, status, outcome, automatic)",
    "SELECT 'llm_analysis', id, 'done', 'evidence_only', true FROM alerts WHERE id % 10 = 0",
)
_ANOMALIES = (
    "ai_analysis_results (analysis_type, series_id, sample_at, score, analysis_data)",
    """
    SELECT 'anomaly_detection', 1 + i % 10000, now() - make_interval(mins => i), 0.5 + i % 50 / 100.0, '{}'::jsonb
    FROM generate_series(1, 20000) AS i
    """,
)


@pytest.fixture(scope="module")
def filled(servers: PrivateServers, template: str) -> Iterator[Session]:
    url = servers.new_database(template)
    plain = url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(plain, autocommit=True) as reader, psycopg.connect(plain, autocommit=True) as writer:
        analysed = (_ANALYSES, _ANOMALIES, _ANALYSES, _ANSWERED_ALERTS)
        for into, rows in (*_ROWS.items(), *_INCIDENTS.items(), *analysed):
            _copy(reader, writer, into, rows)
        writer.execute("VACUUM ANALYZE")
    database = Database(url, statement_timeout_ms=0)
    with database.transaction() as session:
        yield session
    database.close()
    servers.drop_database(url)


def _copy(reader: psycopg.Connection[Any], writer: psycopg.Connection[Any], into: str, rows: str) -> None:
    with (
        reader.cursor() as source,
        writer.cursor() as target,
        source.copy(f"COPY ({rows}) TO STDOUT") as given,
        target.copy(f"COPY {into} FROM STDIN") as taken,
    ):
        for block in given:
            taken.write(block)


def nodes(session: Session, query: ClauseElement, **parameters: object) -> list[dict[str, Any]]:
    """Every node of the plan, as it ran with values that the planner could see."""
    if isinstance(query, TextClause):
        told = session.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}"), parameters).scalar_one()
    else:
        compiled: Any = query.compile(session.get_bind(), compile_kwargs={"render_postcompile": True})
        given = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in compiled.params.items()}
        explained = session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", given)
        told = explained.scalar_one()
    return list(_walk(told[0]["Plan"]))


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)


def assert_by_index(found: list[dict[str, Any]], *, most_rows: int) -> None:
    """Nothing is read from end to end, and not many rows are looked at."""
    for node in found:
        looked_at = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        assert looked_at <= most_rows, node
        # Of a partition in which there is nothing, the planner looks at the nothing.
        assert node["Node Type"] != "Seq Scan" or not looked_at, node


@pytest.mark.parametrize(
    ("wanted", "before_id"),
    [
        (AlertFilter(), 40_000),
        (AlertFilter(status="firing"), 40_000),
        (AlertFilter(status="resolved"), 40_000),
        (AlertFilter(severity="page"), 40_000),
        (AlertFilter(severity="nobody wrote this"), 40_000),
        (AlertFilter(alert_name="Alert7"), 40_000),
        (AlertFilter(alert_name="nobody wrote this"), 40_000),
        (AlertFilter(alert_name="Alert7", status="firing"), 40_000),
        (AlertFilter(labels=(Matcher("instance", "=", "web-17"),)), 40_000),
        (AlertFilter(labels=(Matcher("instance", "=", "nobody wrote this"),)), 40_000),
        (AlertFilter(labels=(Matcher("job", "=", "node"),)), 40_000),
        # Of the last page fewer alerts are left than it has room for.
        (AlertFilter(since=times.now() - timedelta(hours=12)), _ALERTS - 700),
        (AlertFilter(since=NOON - timedelta(days=20), until=NOON - timedelta(days=20) + timedelta(hours=1)), 40_000),
    ],
)
def test_alerts_are_found_by_an_index(filled: Session, wanted: AlertFilter, before_id: int) -> None:
    for before in (None, before_id):
        query = alert_reads.newest_first_query(wanted, limit=50, before_id=before)
        # Of 50,000 or more; a filter may read all of the few that it finds, and sort them.
        assert_by_index(nodes(filled, query), most_rows=1000)


@pytest.mark.parametrize("analysis_type", [None, ANOMALY, LLM])
def test_results_are_found_by_an_index(filled: Session, analysis_type: str | None) -> None:
    for before_id in (None, 30_000):
        query = analysis_reads.newest_first_query(analysis_type, limit=20, before_id=before_id)
        assert_by_index(nodes(filled, query), most_rows=1100)


@pytest.mark.parametrize(
    ("wanted", "most_rows"),
    [
        (AnomalyFilter(), 51),
        (AnomalyFilter(since=NOON - timedelta(days=3), until=NOON - timedelta(days=2)), 51),
        (AnomalyFilter(min_score=0.9), 400),
        (AnomalyFilter(Selector("metric7", (Matcher("instance", "=", "web-207"),))), 51),
        (AnomalyFilter(Selector("nobody wrote this")), 51),
    ],
)
def test_anomalies_are_found_by_an_index(filled: Session, wanted: AnomalyFilter, most_rows: int) -> None:
    for before in (None, (NOON - timedelta(days=1), 15_000)):
        found = nodes(filled, analysis_reads.anomalies_query(wanted, limit=50, before=before))
        assert_by_index(found, most_rows=most_rows)


@pytest.mark.parametrize(
    "selector",
    [
        Selector("metric7"),
        Selector("nobody wrote this"),
        Selector("metric7", (Matcher("instance", "=", "web-207"),)),
        Selector("metric7", (Matcher("instance", "=~", "web-2.*"), Matcher("job", "!=", "x"))),
    ],
)
def test_series_are_found_by_an_index(filled: Session, selector: Selector) -> None:
    for alive_since in (None, NOON):
        found = nodes(filled, series_reads.find_query(selector, limit=100, alive_since=alive_since))
        assert_by_index(found, most_rows=100)


@pytest.mark.parametrize("step_s", [None, 300])
def test_samples_of_a_range_are_read_from_that_range_only(filled: Session, step_s: int | None) -> None:
    end = filled.execute(text("SELECT now()")).scalar_one() - timedelta(minutes=500)
    given: dict[str, object] = {
        "series_ids": [3, 5],
        "start": end - timedelta(minutes=100),
        "end": end,
        "most": 1000,
        **({} if step_s is None else {"step_s": step_s}),
    }
    found = nodes(filled, sample_reads.points_statement(step_s), **given)
    assert_by_index(found, most_rows=202)


def test_scores_are_read_in_order_as_far_as_the_page_goes(filled: Session) -> None:
    found = nodes(filled, sample_reads.scored_query(3, start=None, end=None, limit=100))
    assert_by_index(found, most_rows=100)
    assert "Sort" not in [node["Node Type"] for node in found]


@pytest.mark.parametrize("days", [90, 830, 3000])
def test_incidents_that_are_to_be_forgotten_are_found_by_an_index(filled: Session, days: int) -> None:
    given = {"age": timedelta(days=days), "portion": 100}
    forgetting = filled.begin_nested()
    found = nodes(filled, text(upkeep._OLD_ROWS["incidents"]), **given)
    forgetting.rollback()
    # What is left for good is passed over.
    assert_by_index(found, most_rows=300)


def test_versions_are_read_without_their_bytes(filled: Session) -> None:
    assert "artifact" not in str(model_reads.newest_first_query(limit=10))


def test_what_may_be_replaced_is_found_without_a_look_at_what_never_is(filled: Session) -> None:
    assert_by_index(nodes(filled, analyses.replaceable_query(20)), most_rows=100)
