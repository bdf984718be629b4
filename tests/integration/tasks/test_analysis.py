"""Root-cause analyses in the worker: never lost, never twice, and bettered when the model is back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pydantic import SecretStr
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import Alert, AnalysisResult, Incident, IncidentHistory
from db.queries import analyses, evidence, leases
from db.queries.analyses import AnalysisClaim, Answer
from db.session import Database
from sensus import times
from sensus.settings import Settings
from tests.integration.tasks.conftest import Put, Sent
from tests.integration.tasks.made import add_alert, add_analysis, add_change, of_incident, wave
from tests.ollama_server import OllamaServer
from tests.waiting import wait_for


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        yield server


@pytest.fixture
def with_model(worker: Settings, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> OllamaServer:
    point_to(worker, ollama.url, monkeypatch)
    return ollama


def point_to(worker: Settings, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this worker's model server is there."""
    import os

    from tasks import resources

    there = resources._opened[os.getpid()]
    changed = Settings(
        _env_file=None,
        **worker.model_dump(exclude={"ollama_url", "database_url", "redis_url", "jwt_secret"}),
        database_url=SecretStr(worker.require_database_url()),
        redis_url=worker.redis_url,
        ollama_url=url,
    )
    monkeypatch.setitem(resources._opened, os.getpid(), resources.Resources(changed, there.database, there.redis))


def analyse(analysis_id: int) -> None:
    from tasks.analysis import analyse as task

    task(analysis_id=analysis_id)


def stored(session: Session, analysis_id: int) -> AnalysisResult:
    return session.get_one(AnalysisResult, analysis_id, populate_existing=True)


def incident(session: Session) -> int:
    """An alert with a deploy of the same service before it, and its waiting analysis."""
    start = times.now() - timedelta(minutes=10)
    alert = add_alert(session, starts_at=start)
    add_change(session, "Deploy checkout 2.4.1", at=start - timedelta(minutes=7), service="checkout")
    add_alert(session, "DatabaseSlow", starts_at=start - timedelta(minutes=2), labels={"service": "checkout"})
    return add_analysis(session, alert)


def test_the_models_answer_is_kept_with_the_evidence_it_cites(with_model: OllamaServer, session: Session) -> None:
    analysis_id = incident(session)
    analyse(analysis_id)
    row = stored(session, analysis_id)
    assert (row.status, row.outcome, row.lease_until, row.failures) == ("done", "model", None, 0)
    assert row.model_name
    known = {item["id"] for item in row.analysis_data["evidence"]}
    assert row.analysis_data["cited"]
    assert set(row.analysis_data["cited"]) <= known
    assert row.analysis_data["root_cause"]
    assert row.analysis_data["cached"] is False
    assert row.confidence_score is not None
    assert 0 <= row.confidence_score <= 1
    kinds = {item["kind"]: item for item in row.analysis_data["evidence"]}
    assert "Deploy checkout 2.4.1" in kinds["change"]["summary"]
    assert kinds["related_alert"]["summary"].startswith("DatabaseSlow")


def test_without_a_model_the_evidence_answers(worker: Settings, session: Session) -> None:
    analysis_id = incident(session)
    analyse(analysis_id)
    row = stored(session, analysis_id)
    assert (row.status, row.outcome, row.lease_until) == ("done", "evidence_only", None)
    assert "Deploy checkout 2.4.1" in row.analysis_data["root_cause"] + row.analysis_data["analysis"]
    assert "no model server answers" in row.analysis_data["reason"]


def test_while_the_model_is_asked_the_evidence_already_answers(
    with_model: OllamaServer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import analysis

    analysis_id = incident(session)
    seen: list[AnalysisResult] = []
    real = analysis.Analyst.analyse

    def looked(self: Any, case: Any) -> Any:
        row = stored(session, analysis_id)
        seen.append(AnalysisResult(status=row.status, outcome=row.outcome, analysis_data=row.analysis_data))
        return real(self, case)

    monkeypatch.setattr(analysis.Analyst, "analyse", looked)
    analyse(analysis_id)
    assert (seen[0].status, seen[0].outcome) == ("running", "evidence_only")
    assert seen[0].analysis_data["root_cause"]
    assert stored(session, analysis_id).outcome == "model"


def test_a_sweep_betters_the_answer_once_the_model_is_back(
    sent: Sent, session: Session, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch, worker: Settings
) -> None:
    from tasks.upkeep import sweep

    analysis_id = incident(session)
    analyse(analysis_id)
    sweep()
    assert sent.of("analyse") == []  # nobody to ask
    point_to(worker, ollama.url, monkeypatch)
    from tasks import analysis

    analysis._breakers.clear()
    sweep()
    assert sent.of("analyse") == [{"analysis_id": analysis_id}]
    analyse(analysis_id)
    assert (stored(session, analysis_id).status, stored(session, analysis_id).outcome) == ("done", "model")
    sent.messages.clear()
    sweep()
    assert sent.of("analyse") == []


def test_an_old_answer_of_a_resolved_alert_stays_as_it_is(with_model: OllamaServer, session: Session) -> None:
    alert = add_alert(session, status="resolved")
    analysis_id = add_analysis(
        session,
        alert,
        status="done",
        outcome="evidence_only",
        created_at=times.now() - timedelta(hours=25),
    )
    analyse(analysis_id)
    assert with_model.requests == []
    session.execute(update(Alert).values(status="firing"))
    analyse(analysis_id)
    assert stored(session, analysis_id).outcome == "model"


def test_the_same_question_is_answered_from_the_day_before(with_model: OllamaServer, session: Session) -> None:
    start = times.now() - timedelta(minutes=5)
    alerts = [add_alert(session, starts_at=start, fingerprint=name) for name in ("a", "b")]
    session.execute(update(Alert).values(annotations={}))
    first, second = (of_incident(session, alert) for alert in alerts)
    analyse(first)
    asked = len(with_model.requests)
    analyse(second)
    one, two = stored(session, first), stored(session, second)
    assert one.question_digest == two.question_digest
    assert len(with_model.requests) == asked
    assert two.outcome == "model"
    assert two.analysis_data["cached"] is True
    assert two.analysis_data["root_cause"] == one.analysis_data["root_cause"]
    by_hand = add_analysis(session, alerts[1], automatic=False)
    analyse(by_hand)
    assert len(with_model.requests) == asked + 1, "who asks for a fresh analysis gets one"


def answer_unanswered() -> None:
    from tasks.upkeep import answer_unanswered as task

    task()


def test_while_the_model_is_busy_those_who_wait_have_the_evidence(with_model: OllamaServer, session: Session) -> None:
    waiting = incident(session)
    answer_unanswered()
    row = stored(session, waiting)
    assert (row.status, row.outcome, row.attempt, row.failures) == ("pending", "evidence_only", 0, 0)
    assert "Deploy checkout 2.4.1" in row.analysis_data["root_cause"]
    assert with_model.requests == []
    analyse(waiting)
    assert (stored(session, waiting).status, stored(session, waiting).outcome) == ("done", "model")


def test_what_an_alert_asks_by_itself_is_answered_from_the_evidence_and_done(
    with_model: OllamaServer, session: Session
) -> None:
    waiting = add_analysis(session, add_alert(session), automatic=True)
    analyse(waiting)  # a message of the release before
    assert (stored(session, waiting).status, stored(session, waiting).attempt) == ("pending", 0)
    answer_unanswered()
    row = stored(session, waiting)
    assert (row.status, row.outcome, row.attempt, row.failures) == ("done", "evidence_only", 0, 0)
    assert row.finished_at is not None
    assert "once for each of its states" in row.analysis_data["reason"]
    assert with_model.requests == []


def test_the_state_of_an_incident_is_explained_by_the_model_and_told_in_its_timeline(
    with_model: OllamaServer, session: Session
) -> None:
    start = times.now() - timedelta(minutes=10)
    alert = add_alert(session, starts_at=start)
    add_change(session, "Deploy checkout 2.4.1", at=start - timedelta(minutes=7), service="checkout")
    waiting = of_incident(session, alert)
    answer_unanswered()
    assert (stored(session, waiting).status, stored(session, waiting).outcome) == ("pending", "evidence_only")
    analyse(waiting)
    row = stored(session, waiting)
    assert (row.status, row.outcome, row.alert_id) == ("done", "model", None)
    assert row.analysis_data["outdated"] is False
    entry = session.scalars(select(IncidentHistory)).one()
    assert (entry.change, entry.facts["analysis_id"], entry.facts["state"]) == ("analysed", waiting, 1)
    assert "it belongs to an incident: 1 alert of 1 service" in with_model.requests[0].body["messages"][1]["content"]


def test_an_answer_to_a_state_that_is_over_is_kept_and_marked(with_model: OllamaServer, session: Session) -> None:
    waiting = of_incident(session, add_alert(session))
    session.execute(update(Incident).values(state=2))
    analyse(waiting)
    assert stored(session, waiting).outcome == "model"
    assert stored(session, waiting).analysis_data["outdated"] is True


def test_only_the_newest_state_of_an_incident_is_bettered(
    worker: Settings, database: Database, session: Session
) -> None:
    alert = add_alert(session)
    first = of_incident(session, alert)
    analyse(first)
    assert stored(session, first).outcome == "evidence_only"
    with database.transaction() as mine:
        assert analyses.replaceable(mine, limit=5) == [first]
    second = of_incident(session, alert, state=2)
    with database.transaction() as mine:
        assert analyses.replaceable(mine, limit=5) == []
    analyse(second)
    with database.transaction() as mine:
        assert analyses.replaceable(mine, limit=5) == [second]


def test_the_newest_alert_has_its_answer_first_however_many_wait(
    worker: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import answering

    old = [add_analysis(session, add_alert(session, fingerprint=str(place))) for place in range(5)]
    late: list[int] = []
    told: list[int] = []
    real = analyses.answer_meanwhile

    def looked(mine: Session, answers: dict[int, Answer]) -> tuple[int, int]:
        told.extend(sorted(answers, reverse=True))
        if not late:
            late.append(add_analysis(session, add_alert(session, fingerprint="late")))
        return real(mine, answers)

    monkeypatch.setattr(analyses, "answer_meanwhile", looked)
    monkeypatch.setattr(answering, "_PORTION", 2)
    answer_unanswered()
    assert told == [old[4], old[3], late[0], old[2], old[1], old[0]]


def test_one_odd_alert_costs_its_neighbours_nothing_and_is_given_up_in_the_end(
    sent: Sent, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import answering
    from tasks.upkeep import sweep

    real = answering.case_of

    def case_of(recorded: Any, **options: Any) -> Any:
        if recorded.alert.alert_name == "Odd":
            raise RecursionError("too deep")
        return real(recorded, **options)

    monkeypatch.setattr(answering, "case_of", case_of)
    before = [add_analysis(session, add_alert(session, fingerprint=name)) for name in "ab"]
    odd = add_analysis(session, add_alert(session, "Odd"))
    after = [add_analysis(session, add_alert(session, fingerprint=name)) for name in "cd"]
    answer_unanswered()
    assert {stored(session, each).outcome for each in before + after} == {"evidence_only"}
    row = stored(session, odd)
    assert (row.status, row.outcome, row.failures) == ("pending", None, 1)
    assert row.lease_until is not None, "it is not tried again at once"
    answer_unanswered()
    assert stored(session, odd).failures == 1
    for _ in range(analyses.MOST_FAILURES):
        session.execute(update(AnalysisResult).values(lease_until=None))
        answer_unanswered()
    assert stored(session, odd).failures == analyses.MOST_FAILURES
    session.execute(update(AnalysisResult).values(lease_until=None))
    sweep()
    assert stored(session, odd).status == "failed"


def test_what_the_database_refuses_of_one_alert_costs_its_neighbours_nothing(
    worker: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import answering

    ids = [add_analysis(session, add_alert(session, name)) for name in ("Good", "Odd", "Fine")]
    real = answering.as_answer

    def as_answer(case: Any, analysis: Any) -> Answer:
        made = real(case, analysis)
        data = {**made.data, "root_cause": "\x00"} if case.subject.alert_name == "Odd" else made.data
        return replace(made, data=data)

    monkeypatch.setattr(answering, "as_answer", as_answer)
    answer_unanswered()
    assert [stored(session, each).outcome for each in ids] == ["evidence_only", None, "evidence_only"]


def test_only_one_worker_answers_at_a_time(worker: Settings, database: Database, session: Session) -> None:
    waiting = incident(session)
    with database.transaction() as other:
        assert analyses.only_one_answers(other)
        answer_unanswered()
        assert stored(session, waiting).outcome is None
    answer_unanswered()
    assert stored(session, waiting).outcome == "evidence_only"


def test_a_message_that_comes_while_the_evidence_is_shown_is_not_lost(
    with_model: OllamaServer, database: Database, session: Session
) -> None:
    waiting = incident(session)
    analyst = threading.Thread(target=analyse, args=(waiting,))
    with database.transaction() as other:
        assert analyses.answer_meanwhile(other, {waiting: _answer("evidence_only", "shown")}) == (1, 0)
        analyst.start()
        wait_for(lambda: _waits_for_a_row(session), "the analyst waits for the row")
    analyst.join()
    assert (stored(session, waiting).status, stored(session, waiting).outcome) == ("done", "model")


def test_evidence_asked_for_many_alerts_is_that_of_each_alone(
    worker: Settings, database: Database, session: Session, put: Put
) -> None:
    from tasks.scoring import score_series

    put(wave(900, spikes=range(890, 900)), "latency", service="checkout")
    put(wave(900, spikes=range(890, 900)), "latency", service="mail")
    score_series(series_ids=[])
    now = times.now()
    for minutes, service in ((50, "checkout"), (20, "mail"), (5, "checkout"), (5, "mail"), (1, "search")):
        at = now - timedelta(minutes=minutes)
        add_change(session, f"Deploy {service} {minutes}", at=at - timedelta(minutes=1), service=service)
        add_alert(
            session, f"Slow{minutes}", starts_at=at, labels={"service": service}, fingerprint=f"{minutes}{service}"
        )
    ids = list(session.scalars(select(Alert.id)))
    with database.transaction() as mine:
        together = evidence.around(mine, ids)
        for alert_id in ids:
            assert together[alert_id] == evidence.around(mine, [alert_id])[alert_id]
    newest = together[ids[2]]
    assert [alert.alert_name for alert in newest.alerts] == ["Slow50", "Slow5", "Slow1", "Slow20"]
    assert [change.title for change in newest.changes] == [
        "Deploy checkout 5", "Deploy checkout 50", "Deploy search 1", "Deploy mail 5", "Deploy mail 20",
    ]  # fmt: skip
    assert [anomaly.labels for anomaly in newest.anomalies] == [{"service": "checkout"}]


def _waits_for_a_row(session: Session) -> bool:
    return bool(
        session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
    )


def test_a_message_that_comes_twice_asks_once(with_model: OllamaServer, session: Session) -> None:
    analysis_id = incident(session)
    analyse(analysis_id)
    asked = len(with_model.requests)
    analyse(analysis_id)
    assert len(with_model.requests) == asked
    assert stored(session, analysis_id).attempt == 1


def test_who_finishes_late_changes_nothing(worker: Settings, database: Database, session: Session) -> None:
    analysis_id = incident(session)
    with database.transaction() as mine:
        slow = analyses.claim(mine, analysis_id, lease_s=60)
    assert slow is not None
    session.execute(update(AnalysisResult).values(lease_until=times.now() - timedelta(seconds=1)))
    analyse(analysis_id)
    before = stored(session, analysis_id).analysis_data
    with database.transaction() as mine:
        assert not analyses.finish(mine, slow, _answer("model", "too late"))
        assert not analyses.keep_provisional(mine, slow, _answer("evidence_only", "too late"))
    assert stored(session, analysis_id).analysis_data == before


def test_an_analysis_that_fails_again_and_again_is_given_up_and_keeps_its_text(
    sent: Sent, database: Database, session: Session
) -> None:
    from tasks.upkeep import sweep

    analysis_id = incident(session)
    for _ in range(analyses.MOST_FAILURES):
        with database.transaction() as mine:
            claim = analyses.claim(mine, analysis_id, lease_s=60)
            assert claim is not None
            analyses.keep_provisional(mine, claim, _answer("evidence_only", "what is known"))
        session.execute(update(AnalysisResult).values(lease_until=times.now() - timedelta(seconds=1)))
    with database.transaction() as mine:
        assert analyses.claim(mine, analysis_id, lease_s=60) is None
    sweep()
    row = stored(session, analysis_id)
    assert row.status == "failed"
    assert row.outcome == "evidence_only"
    assert row.analysis_data["root_cause"] == "what is known"
    assert "again and again" in row.analysis_data["reason"]


def test_a_failure_of_ours_gives_the_analysis_back(
    worker: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import analysis

    analysis_id = incident(session)
    monkeypatch.setattr(analysis, "case_of", lambda *_a, **_k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        analyse(analysis_id)
    row = stored(session, analysis_id)
    assert row.status == "running"
    assert row.lease_until is not None
    assert row.lease_until < times.now() + timedelta(seconds=60)


def test_a_useless_answer_is_not_asked_for_again_at_once(with_model: OllamaServer, session: Session) -> None:
    with_model.play("not_json")
    analysis_id = incident(session)
    analyse(analysis_id)
    row = stored(session, analysis_id)
    assert (row.status, row.outcome, row.failures) == ("done", "evidence_only", 1)
    assert row.lease_until is not None
    assert row.lease_until > times.now() + timedelta(minutes=4)


def test_anomalies_of_the_same_service_are_evidence(worker: Settings, session: Session, put: Put) -> None:
    from tasks.scoring import score_series

    put(wave(900, spikes=range(890, 900)), "latency", service="checkout")
    put(wave(900, spikes=range(890, 900)), "latency", service="mail")
    score_series(series_ids=[])
    analysis_id = add_analysis(session, add_alert(session, starts_at=times.now() - timedelta(minutes=5)))
    analyse(analysis_id)
    found = [item for item in stored(session, analysis_id).analysis_data["evidence"] if item["kind"] == "anomaly"]
    assert [item["labels"] for item in found] == [{"service": "checkout"}]
    assert found[0]["summary"].startswith("latency was ")


def test_evidence_is_bounded_however_much_is_recorded(worker: Settings, session: Session) -> None:
    start = times.now() - timedelta(minutes=5)
    for place in range(150):
        add_alert(session, f"Other{place}", starts_at=start - timedelta(seconds=place), fingerprint=str(place))
    analysis_id = add_analysis(session, add_alert(session, starts_at=start))
    analyse(analysis_id)
    assert len(stored(session, analysis_id).analysis_data["evidence"]) == 30


def test_no_order_of_workers_loses_or_doubles_an_analysis(database: Database, session: Session) -> None:
    """Claims, crashes, late finishers and sweeps in any order: one holder at a time, and the holder's word stands."""

    class Claims(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            session.execute(text("DELETE FROM alerts"))
            self.id = add_analysis(session, add_alert(session, fingerprint="x", starts_at=times.now()))
            self.claims: list[AnalysisClaim] = []
            self.holder: int | None = None  # attempt of the one whose lease has not ended
            self.ended: set[int] = set()
            self.final: str | None = None

        @rule()
        def claim(self) -> None:
            with database.transaction() as mine:
                claimed = analyses.claim(mine, self.id, lease_s=60, holder="llm@here")
            if claimed is not None:
                assert self.holder is None
                assert self.final is None
                assert all(claimed.attempt > earlier.attempt for earlier in self.claims)
                self.holder = claimed.attempt
                self.claims.append(claimed)

        @precondition(lambda self: self.holder is not None)
        @rule()
        def lease_ends(self) -> None:
            session.execute(update(AnalysisResult).values(lease_until=times.now() - timedelta(seconds=1)))
            self.holder = None

        @rule(orderly=st.booleans())
        def worker_stops_or_dies(self, orderly: bool) -> None:
            before = stored(session, self.id)
            failures, was_held = before.failures, before.claimed_by is not None
            with database.transaction() as mine:
                leases.release(mine, "llm@elsewhere", blameless=True)
                released = leases.release(mine, "llm@here", blameless=orderly)
            assert released.analyses == ((self.id,) if was_held else ())
            assert stored(session, self.id).failures == failures - (was_held and orderly)
            self.holder = None

        @precondition(lambda self: self.claims)
        @rule(data=st.data(), outcome=st.sampled_from(["model", "evidence_only"]))
        def finish(self, data: st.DataObject, outcome: str) -> None:
            claimed = data.draw(st.sampled_from(self.claims))
            before = stored(session, self.id)
            answer = _answer(outcome, f"attempt {claimed.attempt}")
            with database.transaction() as mine:
                if outcome == "model":
                    kept = analyses.finish(mine, claimed, answer)
                else:
                    kept = analyses.finish_for_now(mine, claimed, answer, pause_s=0, blameless=True)
            is_last = claimed is self.claims[-1]
            may_end = (claimed.replaces and self.final is None) or claimed.attempt not in self.ended
            assert kept == (is_last and may_end and before.status != "failed")
            if kept:
                self.ended.add(claimed.attempt)
                self.holder = None
                self.final = outcome if outcome == "model" else self.final

        @rule()
        def sweep(self) -> None:
            with database.transaction() as mine:
                found = analyses.waiting(mine, limit=10, older_than_s=-1) + analyses.replaceable(mine, limit=10)
                given_up = analyses.give_up(mine, reason="again and again")
            row = stored(session, self.id)
            if given_up:
                assert row.failures >= analyses.MOST_FAILURES
                self.final = "failed"
            elif row.status != "failed":
                waits = self.holder is None and self.final is None and row.failures < analyses.MOST_FAILURES
                assert bool(found) == waits

        @invariant()
        def what_is_final_stays(self) -> None:
            if self.final == "model":
                assert stored(session, self.id).outcome == "model"

    run_state_machine_as_test(
        Claims,
        settings=hypothesis_settings(
            max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def _answer(outcome: str, root_cause: str) -> Answer:
    return Answer(
        outcome=outcome, model_name=None, confidence=0.3, question_digest="x", data={"root_cause": root_cause}
    )
