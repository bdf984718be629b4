"""Each alert that fires has its own analysis from the evidence, once, in whatever order requests commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.orm import Session

from db.models import AlertHistory, AnalysisResult, GroupingPosition, IncidentAlert, LateChange
from db.queries import ungrouped
from db.session import Database
from tests.factories import alert
from tests.integration.tasks.conftest import Sent
from tests.integration.tasks.made import add_alert

Send = Callable[..., list[int]]


@pytest.fixture
def send(writer: FlaskClient, sent: Sent) -> Send:
    """Sends alerts: `send(alert("A"), alert("B"))`; their ids."""

    def post(*alerts: dict[str, Any], **headers: str) -> list[int]:
        answer = writer.post("/api/v1/alerts", json=list(alerts), headers=headers)
        assert answer.status_code == 202, answer.text
        return list(answer.get_json()["alert_ids"])

    return post


def group() -> None:
    from tasks.grouping import group as task

    task()


def analyses_of(session: Session, alert_id: int) -> list[AnalysisResult]:
    session.expire_all()
    rows = select(AnalysisResult).where(AnalysisResult.alert_id == alert_id).order_by(AnalysisResult.id)
    return list(session.scalars(rows))


def test_each_alert_that_fires_has_one_analysis_however_often_it_comes_back(send: Send, session: Session) -> None:
    fires, over = send(alert("A"), alert("B", status="resolved"), **{"X-Request-ID": "the-first-request"})
    assert session.scalar(select(func.count(AnalysisResult.id))) == 0, "that is no work of ingest"
    group()
    (made,) = analyses_of(session, fires)
    assert (made.status, made.outcome, made.automatic, made.attempt) == ("done", "evidence_only", True, 0)
    assert made.finished_at is not None
    assert made.request_id == "the-first-request"
    assert "once for each of its states" in made.analysis_data["reason"]
    assert analyses_of(session, over) == []
    send(alert("A"), alert("A", status="resolved"), alert("A"))
    send(alert("B"))  # reopened, and never analysed
    group()
    assert [row.id for row in analyses_of(session, fires)] == [made.id]
    assert [row.status for row in analyses_of(session, over)] == ["done"]


def test_an_alert_that_nobody_looked_at_yet_has_an_analysis_that_waits(
    send: Send, writer: FlaskClient, session: Session
) -> None:
    fires, over = send(alert("A"), alert("B", status="resolved"))
    told = writer.get(f"/api/v1/alerts/{fires}/analysis")
    assert (told.status_code, told.get_json()["id"], told.get_json()["status"]) == (200, None, "pending")
    assert (told.get_json()["alert_id"], told.get_json()["evidence"]) == (fires, [])
    assert writer.get(f"/api/v1/alerts/{over}/analysis").status_code == 404
    assert 'sensus_unfinished{kind="alerts"} 2.0' in writer.get("/metrics").text
    group()
    told = writer.get(f"/api/v1/alerts/{fires}/analysis")
    assert (told.get_json()["id"], told.get_json()["status"]) == (analyses_of(session, fires)[0].id, "done")
    assert writer.get(f"/api/v1/alerts/{over}/analysis").status_code == 404


def test_one_odd_alert_costs_its_neighbours_nothing_and_is_tried_again(
    send: Send, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import answering
    from tasks.upkeep import answer_unanswered

    real = answering.case_of

    def case_of(recorded: Any, **options: Any) -> Any:
        if recorded.alert.alert_name == "Odd":
            raise RecursionError("too deep")
        return real(recorded, **options)

    with monkeypatch.context() as patched:
        patched.setattr(answering, "case_of", case_of)
        good, odd, fine = send(alert("Good"), alert("Odd"), alert("Fine"))
        group()
    assert [row.status for each in (good, fine) for row in analyses_of(session, each)] == ["done", "done"]
    (waits,) = analyses_of(session, odd)
    assert (waits.status, waits.outcome, waits.failures) == ("pending", None, 1)
    assert waits.lease_until is not None, "it is not tried again at once"
    assert set(session.scalars(select(IncidentAlert.alert_id))) == {good, odd, fine}, "it belongs to an incident anyhow"
    answer_unanswered()
    assert analyses_of(session, odd)[0].outcome is None
    session.execute(update(AnalysisResult).values(lease_until=None))
    answer_unanswered()
    assert [(row.id, row.status) for row in analyses_of(session, odd)] == [(waits.id, "done")]


def test_a_worker_that_dies_after_the_answers_leaves_them_and_the_rest_to_the_next(
    send: Send, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import grouping

    (alert_id,) = send(alert("A"))
    with monkeypatch.context() as patched:
        patched.setattr(grouping, "_taken", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            group()
    (made,) = analyses_of(session, alert_id)
    assert session.scalar(select(func.count(IncidentAlert.alert_id))) == 0
    group()
    assert [row.id for row in analyses_of(session, alert_id)] == [made.id]
    assert session.scalar(select(func.count(IncidentAlert.alert_id))) == 1


def test_what_commits_late_is_taken_in_late(send: Send, database: Database, session: Session) -> None:
    late = add_alert(session, "Late")
    with database.engine.connect() as slow:
        slow.execute(_HISTORY, {"alert_id": late.id})
        (early,) = send(alert("Early"))
        group()
        assert [len(analyses_of(session, each)) for each in (late.id, early)] == [0, 1]
        assert session.scalar(select(func.count(LateChange.history_id))) == 1
        slow.commit()
    group()
    assert [len(analyses_of(session, each)) for each in (late.id, early)] == [1, 1]
    assert session.scalar(select(func.count(LateChange.history_id))) == 0


def test_a_sequence_that_was_set_anew_is_no_gap_to_wait_for(send: Send, session: Session) -> None:
    session.execute(text("SELECT setval(pg_get_serial_sequence('alert_history', 'id'), 10000000000)"))
    (alert_id,) = send(alert("A"))
    group()
    assert len(analyses_of(session, alert_id)) == 1
    assert (session.scalar(select(func.count(LateChange.history_id))) or 0) <= 100_000


_HISTORY = text("INSERT INTO alert_history (alert_id, change) VALUES (:alert_id, 'firing') RETURNING id")
_STEPS = st.lists(st.tuples(st.sampled_from(["write", "commit", "rollback", "take", "forget"]), st.integers(0, 2)))


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=_STEPS, portion=st.integers(1, 3))
def test_in_whatever_order_transactions_end_each_change_is_taken_once(
    database: Database, session: Session, steps: list[tuple[str, int]], portion: int
) -> None:
    alert_id = add_alert(session, "Any", fingerprint=f"{steps}{portion}").id
    before = set(session.scalars(select(AlertHistory.id)))
    taken: list[int] = []

    def take() -> bool:
        with database.transaction() as mine:
            found = [change.id for change in ungrouped.changes(mine, limit=portion)]
            ungrouped.take_changes(mine, found)
        taken.extend(found)
        return bool(found)

    def forget() -> None:
        with database.transaction() as mine:
            ungrouped.forget_what_never_came(mine)

    writers: list[Connection] = [database.engine.connect() for _ in range(3)]
    try:
        for step, place in steps:
            if step == "write":
                writers[place].execute(_HISTORY, {"alert_id": alert_id})
            elif step == "commit":
                writers[place].commit()
            elif step == "rollback":
                writers[place].rollback()
            elif step == "take":
                take()
            else:
                forget()
        for writer in writers:
            writer.commit()
    finally:
        for writer in writers:
            writer.close()
    while take():
        pass
    forget()
    committed = set(session.scalars(select(AlertHistory.id))) - before
    assert sorted(taken) == sorted(committed)
    assert session.scalar(select(func.count(LateChange.history_id))) == 0
    assert session.scalar(select(GroupingPosition.last_id)) == max(committed | before, default=0)
