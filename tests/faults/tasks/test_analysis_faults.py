"""Analysts that are killed, a model server that comes and goes: no analysis is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from db.models import AnalysisResult
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
