"""Analysts that are killed, a model server that comes and goes: no analysis is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from db import exclusive
from db.models import AnalysisResult
from db.session import Database
from sensus import times
from tests.faults.tasks.conftest import Send, StartWorker
from tests.integration.tasks.made import add_alert, add_analysis
from tests.ollama_server import OllamaServer
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


def row(session: Session, analysis_id: int) -> AnalysisResult:
    return session.get_one(AnalysisResult, analysis_id, populate_existing=True)


def test_an_analyst_killed_while_the_model_thinks_leaves_the_evidence_and_its_place_to_the_next(
    start_worker: StartWorker, session: Session, send: Send
) -> None:
    analysis_id = add_analysis(session, add_alert(session))
    with OllamaServer(play="hang") as ollama:
        worker = start_worker("llm", SENSUS_OLLAMA_URL=ollama.url)
        send("tasks.analysis.analyse", analysis_id=analysis_id)
        wait_for(lambda: ollama.requests, "the model is asked", timeout_s=60)
        there = row(session, analysis_id)
        assert (there.status, there.outcome) == ("running", "evidence_only")
        assert there.analysis_data["root_cause"]
        ollama.play("normal")
        worker.kill_child()
        session.execute(update(AnalysisResult).values(lease_until=times.now() - timedelta(seconds=1)))
        send("tasks.analysis.analyse", analysis_id=analysis_id)
        wait_for(lambda: row(session, analysis_id).status == "done", "the next analyst is done", timeout_s=60)
    there = row(session, analysis_id)
    assert there.outcome == "model"
    assert there.attempt == 2


def test_answers_given_without_a_model_are_bettered_when_it_is_back(
    start_worker: StartWorker, session: Session, send: Send
) -> None:
    with OllamaServer() as gone:
        url, port = gone.url, int(gone.url.rsplit(":", 1)[1])
    start_worker("llm", SENSUS_OLLAMA_URL=url)
    ids = [add_analysis(session, add_alert(session, fingerprint=name)) for name in "abc"]
    for analysis_id in ids:
        send("tasks.analysis.analyse", analysis_id=analysis_id)
    wait_for(lambda: all(row(session, each).status == "done" for each in ids), "the evidence answers", timeout_s=60)
    assert {row(session, each).outcome for each in ids} == {"evidence_only"}
    with OllamaServer(port=port):
        start_worker("maintenance", SENSUS_OLLAMA_URL=url)  # sweeps as soon as it is there

        def all_bettered() -> bool:
            # The breaker of the analyst rests for some seconds, so one sweep may come too early.
            send("tasks.upkeep.sweep")
            return all(row(session, each).outcome == "model" for each in ids)

        wait_for(all_bettered, "the model answers", timeout_s=60, every_s=1.0)


def test_a_stop_in_the_middle_of_an_analysis_costs_neither_time_nor_a_try(
    start_worker: StartWorker, session: Session, send: Send
) -> None:
    ids = [add_analysis(session, add_alert(session, fingerprint=name)) for name in "ab"]
    with OllamaServer(play="hang") as ollama:
        worker = start_worker("llm", SENSUS_OLLAMA_URL=ollama.url)
        for analysis_id in ids:
            send("tasks.analysis.analyse", analysis_id=analysis_id)
        wait_for(lambda: ollama.requests, "the model is asked", timeout_s=60)
        worker.stop()
        claimed = [each for each in ids if row(session, each).attempt]
        assert len(claimed) == 1
        left = row(session, claimed[0])
        assert (left.failures, left.lease_until, left.claimed_by) == (0, None, None)
        ollama.play("normal")
        worker.start()
        wait_for(lambda: all(row(session, each).status == "done" for each in ids), "it goes on", timeout_s=30)
    assert {row(session, each).outcome for each in ids} == {"model"}
    assert row(session, claimed[0]).attempt == 2


def test_what_a_worker_had_when_the_power_went_goes_on_at_its_next_start(
    start_worker: StartWorker, session: Session, send: Send
) -> None:
    analysis_id = add_analysis(session, add_alert(session))
    elsewhere = add_analysis(session, add_alert(session, fingerprint="elsewhere"))
    session.execute(
        update(AnalysisResult)
        .where(AnalysisResult.id == elsewhere)
        .values(status="running", claimed_by="llm@elsewhere", lease_until=times.now() + timedelta(minutes=5))
    )
    with OllamaServer(play="hang") as ollama:
        worker = start_worker("llm", SENSUS_OLLAMA_URL=ollama.url)
        send("tasks.analysis.analyse", analysis_id=analysis_id)
        wait_for(lambda: ollama.requests, "the model is asked", timeout_s=60)
        assert row(session, analysis_id).claimed_by == "llm@test"
        worker.kill()
        ollama.play("cut")
        worker.start()
        wait_for(lambda: row(session, analysis_id).attempt == 2, "it is taken up again", timeout_s=30)
    assert row(session, analysis_id).failures == 2, "what kills its worker must not come back for ever"
    there = row(session, elsewhere)
    assert (there.status, there.claimed_by) == ("running", "llm@elsewhere")


def test_while_the_model_thinks_and_a_training_runs_a_new_alert_has_its_evidence(
    start_worker: StartWorker, database: Database, session: Session, send: Send
) -> None:
    first = add_analysis(session, add_alert(session, fingerprint="first"))
    with OllamaServer(play="hang") as ollama, exclusive.alone(database, exclusive.LONG_WORK):
        start_worker("llm", SENSUS_OLLAMA_URL=ollama.url)
        start_worker("maintenance", SENSUS_OLLAMA_URL=ollama.url)
        send("tasks.analysis.analyse", analysis_id=first)
        wait_for(lambda: ollama.requests, "the model is asked", timeout_s=60)
        later = add_analysis(session, add_alert(session, fingerprint="later"))
        send("tasks.analysis.analyse", analysis_id=later)
        send("tasks.upkeep.keep_house")  # must not hold up what comes behind it
        send("tasks.upkeep.answer_unanswered")
        wait_for(lambda: row(session, later).outcome == "evidence_only", "the evidence answers", timeout_s=30)
        assert row(session, later).status == "pending"
