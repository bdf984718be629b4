"""The suspects of an incident come from the samples of its services and of those that they call."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import AnalysisResult, Incident
from db.session import Database
from llm.confidence import MOST, MOST_WITHOUT_MODEL
from sensus import times
from tests.factories import alert as message
from tests.factories import alertmanager_webhook
from tests.integration.tasks.conftest import Sent
from tests.integration.tasks.made import add_change, store_samples
from tests.ollama_server import OllamaServer

STEP_S = 15
FAULT_MINUTES = 4


def system(database: Database, writer: FlaskClient, *, broken: str, minutes: int = 60) -> datetime:
    """Three services as Prometheus sees them: web calls checkout calls orders-db, and `broken` has lately gone slow."""
    now = times.now().replace(microsecond=0)
    moments = [now - timedelta(seconds=STEP_S * n) for n in range(minutes * 60 // STEP_S, 0, -1)]
    fault = np.asarray([(now - at).total_seconds() <= 60 * FAULT_MINUTES for at in moments])
    rng = np.random.default_rng(7)
    chain = ("web", "checkout", "orders-db")
    calls = [list(pair) for pair in pairwise(chain)]
    assert writer.post("/api/v1/topology", json=calls).status_code == 202
    for place, service in enumerate((*chain, "mailer")):
        suffers = service in chain and place <= chain.index(broken)
        latency = 0.05 * (1 + rng.normal(0, 0.05, len(moments)))
        latency = latency * np.where(fault, 8.0 if service == broken else 3.0 if suffers else 1.0, 1.0)
        count = np.cumsum(np.full(len(moments), 150.0))
        total = np.cumsum(150.0 * latency)
        labels = {"service": service, "instance": f"{service}:8080", "job": "apps"}
        for name, values in (
            ("http_request_duration_seconds_sum", total),
            ("http_request_duration_seconds_count", count),
            ("process_cpu_seconds_total", np.cumsum(np.full(len(moments), 3.0))),
        ):
            rows = [(at, float(value)) for at, value in zip(moments, values, strict=True)]
            store_samples(database, rows, name, labels)
    return now


def alerts_of(writer: FlaskClient, services: Iterable[str], *, minutes: float = 2, **further: Any) -> None:
    alerts = [
        message(
            "HighLatency",
            starts_at=times.now().replace(microsecond=0) - timedelta(minutes=minutes),
            labels={"instance": f"{service}:8080", "service": service},
            generatorURL="http://prometheus:9090/graph?g0.expr=rate%28http_request_duration_seconds_sum%5B1m%5D%29+%3E+1",
            **further,
        )
        for service in services
    ]
    assert writer.post("/api/v1/alerts", json=alertmanager_webhook(alerts)).status_code == 202


def settled(session: Session) -> Incident:
    """Groups, lets the incident settle and answers from the evidence."""
    from tasks.grouping import group
    from tasks.upkeep import answer_unanswered

    group()
    earlier = times.now() - timedelta(hours=1)
    session.execute(update(Incident).values(changed_at=earlier, state_since=earlier))
    group()
    answer_unanswered()
    session.expire_all()
    return session.scalars(select(Incident).where(Incident.merged_into.is_(None))).one()


def analysis_of(session: Session, incident: Incident) -> AnalysisResult:
    return session.scalars(select(AnalysisResult).where(AnalysisResult.incident_id == incident.id)).one()


@pytest.mark.parametrize("broken", ["orders-db", "checkout"])
def test_the_broken_service_is_the_first_suspect_though_its_caller_shouts(
    database: Database, writer: FlaskClient, sent: Sent, session: Session, broken: str
) -> None:
    system(database, writer, broken=broken)
    alerts_of(writer, ["web", "checkout"])
    incident = settled(session)
    first = incident.suspects[0]
    assert (first["service"], first["metric"]) == (broken, "http_request_duration_seconds")
    assert first["during"] > 4 * first["before"]
    assert first["confidence"] > 0.5
    row = analysis_of(session, incident)
    assert (row.outcome, row.status) == ("evidence_only", "pending")
    assert broken in row.analysis_data["root_cause"]
    assert row.analysis_data["suspect"] == broken
    assert row.confidence_score == pytest.approx(min(first["confidence"], MOST), abs=0.01)
    told = writer.get(f"/api/v1/incidents/{incident.id}").get_json()
    assert {alert["incident_id"] for alert in told["alerts"]} == {incident.id}
    assert told["suspects"][0]["service"] == broken
    assert [suspect["service"] for suspect in told["suspects"]].count(broken) == 1
    assert "mailer" not in [suspect["service"] for suspect in told["suspects"][:3]], "nobody of the incident calls it"


def test_of_two_that_look_alike_the_first_is_told_and_no_more_is_claimed_than_the_ranking_does(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    """Nothing is measured of the one that calls both, so that no call tells a cause from a consequence."""
    now = times.now().replace(microsecond=0)
    rng = np.random.default_rng(7)
    for service, rise in (("checkout", 0.40), ("orders", 0.36)):
        ages_s = [STEP_S * n for n in range(240, 0, -1)]
        rows = [
            (now - timedelta(seconds=age_s), 0.2 + rng.normal(0, 0.01) + rise * (age_s < 60 * FAULT_MINUTES))
            for age_s in ages_s
        ]
        store_samples(database, rows, "http_request_duration_seconds", {"service": service})
    assert writer.post("/api/v1/topology", json=[["web", "checkout"], ["web", "orders"]]).status_code == 202
    alerts_of(writer, ["web", "checkout", "orders"])
    incident = settled(session)
    first, second = incident.suspects
    assert first["confidence"] >= second["confidence"]
    row = analysis_of(session, incident)
    assert row.confidence_score <= MOST_WITHOUT_MODEL
    assert row.analysis_data["suspect"] in (None, first["service"])
    told = {one["id"]: one["labels"]["service"] for one in row.analysis_data["evidence"] if one["kind"] == "suspect"}
    assert list(told.values()) == [first["service"], second["service"]]
    assert [told[id_] for id_ in row.analysis_data["cited"] if id_ in told] == [first["service"]]


def test_a_limit_that_an_exporter_tells_as_the_largest_number_is_no_trouble(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    now = system(database, writer, broken="orders-db")
    endless = [(now - timedelta(seconds=place), 1.7e308) for place in range(120)]
    store_samples(database, endless, "memory_limit_bytes", {"service": "orders-db"})
    alerts_of(writer, ["web", "checkout"])
    incident = settled(session)
    assert incident.suspects[0]["service"] == "orders-db"
    assert incident.suspects[0]["metric"] != "memory_limit_bytes"


def test_that_an_alert_fires_is_no_suspect(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    now = system(database, writer, broken="orders-db")
    for name in ("ALERTS", "ALERTS_FOR_STATE"):
        labels = {"service": "checkout", "alertname": "HighLatency"}
        store_samples(database, [(now - timedelta(seconds=n), float(n % 7)) for n in range(120)], name, labels)
    alerts_of(writer, ["web", "checkout"])
    incident = settled(session)
    assert incident.suspects[0]["service"] == "orders-db"
    assert not [suspect for suspect in incident.suspects if suspect["metric"].startswith("ALERTS")]


def test_a_change_of_the_suspect_is_evidence_beside_it(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    now = system(database, writer, broken="orders-db")
    add_change(session, "Deploy orders-db 7", at=now - timedelta(minutes=6), service="orders-db")
    add_change(session, "Deploy mailer 3", at=now - timedelta(minutes=5), service="mailer")
    alerts_of(writer, ["web", "checkout"])
    evidence = analysis_of(session, settled(session)).analysis_data["evidence"]
    assert [item["summary"] for item in evidence if item["kind"] == "change"] == ["Deploy orders-db 7"]


def test_a_suspect_that_a_model_names_makes_the_confidence(
    database: Database,
    writer: FlaskClient,
    sent: Sent,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    worker: Any,
) -> None:
    from tasks.analysis import analyse
    from tests.integration.tasks.test_analysis import point_to

    system(database, writer, broken="orders-db")
    alerts_of(writer, ["web", "checkout"])
    incident = settled(session)

    def said(service: str) -> str:
        return json.dumps(
            {
                "analysis": "x",
                "evidence": ["E2"],
                "service": service,
                "cause_kind": "resource",
                "root_cause": f"{service} became slow.",
                "mitigation": "Look at it.",
            }
        )

    answers = ["orders-db", "mailer-of-nobody", "web"]
    with OllamaServer(say=lambda _: said(answers[0])) as model:
        point_to(worker, model.url, monkeypatch)
        row = analysis_of(session, incident)
        analyse(analysis_id=row.id)
        session.refresh(row)
    assert (row.outcome, row.analysis_data["suspect"]) == ("model", "orders-db")
    first = session.get_one(Incident, incident.id, populate_existing=True).suspects[0]
    assert row.confidence_score is not None
    assert row.confidence_score >= min(first["confidence"], MOST) - 0.01


@pytest.mark.parametrize("blamed", ["billing-gateway", "E97", "nobody we know"])
def test_a_service_that_is_no_suspect_is_not_blamed(
    database: Database,
    writer: FlaskClient,
    sent: Sent,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    worker: Any,
    blamed: str,
) -> None:
    from tasks.analysis import analyse
    from tests.integration.tasks.test_analysis import point_to

    system(database, writer, broken="orders-db")
    alerts_of(writer, ["web"])
    incident = settled(session)
    said = {"analysis": "", "evidence": ["E2"], "service": blamed, "root_cause": "It broke.", "mitigation": ""}
    with OllamaServer(say=lambda _: json.dumps(said)) as model:
        point_to(worker, model.url, monkeypatch)
        row = analysis_of(session, incident)
        analyse(analysis_id=row.id)
        session.refresh(row)
        assert len(model.requests) == 2, "it is asked to mend it once"
    assert row.outcome == "evidence_only"
    assert row.analysis_data["suspect"] == "orders-db"
    assert "no suspect" in row.analysis_data["reason"]


def test_without_samples_there_are_no_suspects_and_nothing_fails(
    writer: FlaskClient, sent: Sent, session: Session
) -> None:
    alerts_of(writer, ["web"])
    incident = settled(session)
    assert incident.suspects == []
    assert incident.suspects_state == 1
    assert analysis_of(session, incident).outcome == "evidence_only"


def test_what_is_read_is_bounded_whatever_is_stored(
    database: Database, writer: FlaskClient, sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import suspects

    system(database, writer, broken="orders-db")
    monkeypatch.setattr(suspects, "MOST_SERIES", 4)
    monkeypatch.setattr(suspects, "MOST_POINTS", 100)
    read: list[int] = []
    real = suspects.metrics_of

    def looked(series: Any) -> Any:
        kept = list(series)
        read.append(sum(len(one.times) for one in kept))
        return real(kept)

    monkeypatch.setattr(suspects, "metrics_of", looked)
    alerts_of(writer, ["web", "checkout"])
    settled(session)
    assert 0 < max(read) <= 150


POOL = "@@\n-\tdb.SetMaxOpenConns(100)\n+\tdb.SetMaxOpenConns(5)"


def changes_of(session: Session, incident: Incident) -> list[dict[str, Any]]:
    evidence = analysis_of(session, incident).analysis_data["evidence"]
    return [item for item in evidence if item["kind"] == "change"]


def test_a_diff_that_explains_the_alerts_weighs_more_than_a_newer_one_that_does_not(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    now = system(database, writer, broken="orders-db")
    for minutes, title, diff, file in (
        (90, "Deploy orders-db 41", POOL, "store/db.go"),
        (10, "Deploy orders-db 42", "@@\n-Read me\n+Read me first", "README.md"),
    ):
        event = {
            "title": title,
            "kind": "deploy",
            "labels": {"service": "orders-db"},
            "timestamp": (now - timedelta(minutes=minutes)).isoformat(),
            "commits": [{"id": f"c{minutes}", "message": "tidy up", "files": [file], "diff": diff}],
        }
        assert writer.post("/api/v1/events", json=event).status_code in (201, 202)
    alerts_of(writer, ["web", "checkout"])
    found = changes_of(session, settled(session))
    assert [item["summary"].split(":")[0] for item in found] == ["Deploy orders-db 41", "Deploy orders-db 42"]
    assert found[0]["weight"] > 2 * found[1]["weight"]
    assert found[0]["facts"]["its diff has"]


def test_a_deploy_is_known_by_the_commits_of_the_push_before_it(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    now = system(database, writer, broken="orders-db")
    push = add_change(session, "Push to main", at=now - timedelta(hours=2))
    push.details = {"commits": [{"id": "abc", "message": "fewer connections", "files": ["db.go"], "diff": POOL}]}
    deploy = add_change(session, "Deploy", at=now - timedelta(hours=1), service="orders-db")
    deploy.details = {"revision": "abc"}
    session.flush()
    alerts_of(writer, ["web", "checkout"])
    found = changes_of(session, settled(session))
    assert found[0]["summary"] == "Deploy"
    assert found[0]["facts"]["its diff has"]


def test_a_change_after_the_start_is_no_cause(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    now = system(database, writer, broken="orders-db")
    add_change(session, "Deploy orders-db 8, the fix", at=now + timedelta(minutes=1), service="orders-db")
    alerts_of(writer, ["web", "checkout"], minutes=3)
    assert all(item["weight"] <= 0.1 for item in changes_of(session, settled(session)))


def test_an_incident_that_comes_back_after_days_is_put_down_to_what_was_done_just_before_that(
    database: Database, writer: FlaskClient, sent: Sent, session: Session
) -> None:
    from tasks.grouping import group

    now = system(database, writer, broken="orders-db")
    alerts_of(writer, ["web"], minutes=50, status="resolved", ends_at=now - timedelta(minutes=40))
    group()
    # It has come and gone like this for three days.
    (first,) = session.scalars(select(Incident).where(Incident.merged_into.is_(None)))
    began = first.opened_at - timedelta(days=3)
    session.execute(update(Incident).values(opened_at=began, active_since=began))
    add_change(session, "Deploy web 1", at=began - timedelta(minutes=1), service="web")
    add_change(session, "Deploy orders-db 7", at=now - timedelta(minutes=6), service="orders-db")
    alerts_of(writer, ["web"])
    incident = settled(session)
    assert (incident.id, incident.opened_at, incident.reopened) == (first.id, began, 1)
    assert now <= incident.active_since + timedelta(minutes=2) <= times.now()
    assert incident.suspects[0]["service"] == "orders-db"
    data = analysis_of(session, incident).analysis_data
    assert [item["summary"] for item in data["evidence"] if item["kind"] == "change"] == ["Deploy orders-db 7"]
    assert "Deploy orders-db 7" in data["root_cause"] or data["suspect"] == "orders-db"
    told = writer.get(f"/api/v1/incidents/{incident.id}").get_json()
    assert times.parse(told["active_since"]) == incident.active_since
