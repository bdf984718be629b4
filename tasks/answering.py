"""Show at once what the evidence alone supports, whatever the model is busy with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy.orm import Session

from db.queries import analyses, evidence
from db.queries.analyses import Answer
from db.session import Database
from llm.evidence_only import evidence_only
from sensus import logs, metrics, times
from sensus.settings import Settings
from tasks.base import may_pass
from tasks.evidence import as_answer, case_of
from tasks.incident_evidence import incident_case

# Of an alert, the model is asked about the incident that it belongs to.
OF_AN_ALERT = "the model is asked about the incident as a whole, once for each of its states"
WAITING = "the model is busy with other incidents"
# Small, so that the newest alert of all never waits long for others that came before it.
_PORTION = 50
_ASIDE_S = 60.0

log = logs.get_logger(__name__)


def answer_alerts(database: Database, requests: Mapping[int, str | None]) -> int:
    """Give each of these alerts its own analysis, from the evidence alone, unless it has one; how many have it now.

    `requests` are the ids of the requests that told of them, by the alert.
    """
    try:
        return _answer_alerts(database, requests)
    except Exception as error:
        if isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
            raise
        log.warning("alerts_answered_one_by_one", count=len(requests), error=type(error).__name__)
    return sum(_answer_alert_alone(database, alert_id, request_id) for alert_id, request_id in requests.items())


def _answer_alerts(database: Database, requests: Mapping[int, str | None]) -> int:
    with database.transaction() as session:
        without = analyses.without_own(session, requests)
        if not without:
            return 0
        made = analyses.add_answered(session, _from_evidence(session, without), requests)
    metrics.analyses.labels("evidence_only").inc(made)
    return made


def _answer_alert_alone(database: Database, alert_id: int, request_id: str | None) -> int:
    """As `_answer_alerts`, of one; what fails is set aside, so that it holds up nobody."""
    try:
        return _answer_alerts(database, {alert_id: request_id})
    except Exception as error:
        if isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
            raise
        log.exception("alert_not_answered", alert_id=alert_id)
        with database.transaction() as session:
            analyses.add_aside(session, alert_id, request_id=request_id, pause_s=_ASIDE_S)
        return 0


def answer_meanwhile(database: Database, *, until: float) -> int:
    """Show what the evidence supports in analyses of alerts that wait and show nothing yet; how many have it now.

    These are what people ask for while the model is busy, and what was set aside. Newest first; ends when all have an
    answer, when somebody else is at it, or with the portion in which the monotonic clock passes `until`.
    """
    answered = 0
    while time.monotonic() < until:
        waiting: list[tuple[int, int]] = []
        try:
            with database.transaction() as session:
                if analyses.only_one_answers(session):
                    waiting = analyses.unanswered(session, limit=_PORTION)
                    shown = _answer_all(session, waiting)
                else:
                    shown = (0, 0)
            answered += _counted(shown)
        except Exception as error:
            if not waiting or isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
                raise
            log.warning("alerts_answered_one_by_one", count=len(waiting), error=type(error).__name__)
            answered += sum(_answer_alone(database, analysis_id, alert_id) for analysis_id, alert_id in waiting)
        if not waiting:
            break
    return answered


def answer_incidents(database: Database, settings: Settings, *, until: float) -> int:
    """The same for analyses of incidents, one by one, since each has suspects of its own to rank."""
    answered = 0
    tried: set[int] = set()
    while time.monotonic() < until:
        with database.transaction() as session:
            waiting = analyses.unanswered_incidents(session, limit=_PORTION)
        fresh = [each for each in waiting if each[0] not in tried]
        if not fresh:
            break
        analysis_id, incident_id = fresh[0]
        tried.add(analysis_id)
        answer = partial(_answer_incident, database, settings, analysis_id, incident_id)
        answered += _aside_if_it_fails(database, analysis_id, answer)
    return answered


def _answer_incident(database: Database, settings: Settings, analysis_id: int, incident_id: int) -> int:
    case = incident_case(database, incident_id, settings)
    if case is None:
        return 0
    answer = as_answer(case, evidence_only(case, WAITING))
    with database.transaction() as session:
        shown = analyses.answer_meanwhile(session, {analysis_id: answer})
    return _counted(shown)


def _answer_all(session: Session, waiting: Sequence[tuple[int, int]]) -> tuple[int, int]:
    answers = _from_evidence(session, [alert_id for _, alert_id in waiting])
    found = {analysis_id: answers[alert_id] for analysis_id, alert_id in waiting if alert_id in answers}
    return analyses.answer_meanwhile(session, found)


def _from_evidence(session: Session, alert_ids: Sequence[int]) -> dict[int, Answer]:
    """What the evidence alone supports, by the alert; one that went with the retention is left out."""
    answers = {}
    for alert_id, recorded in evidence.around(session, alert_ids).items():
        case = case_of(recorded, asked_at=times.now())
        answers[alert_id] = as_answer(case, evidence_only(case, OF_AN_ALERT))
    return answers


def _answer_alone(database: Database, analysis_id: int, alert_id: int) -> int:
    """As `_answer_all`, of one."""

    def answer() -> int:
        with database.transaction() as session:
            shown = _answer_all(session, [(analysis_id, alert_id)])
        return _counted(shown)

    return _aside_if_it_fails(database, analysis_id, answer)


def _aside_if_it_fails(database: Database, analysis_id: int, answer: Callable[[], int]) -> int:
    """What fails is set aside, so that it holds up nobody."""
    try:
        return answer()
    except Exception as error:
        if isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
            raise
        log.exception("analysis_not_answered", analysis_id=analysis_id)
        with database.transaction() as session:
            analyses.set_aside(session, analysis_id, pause_s=_ASIDE_S)
        return 0


def _counted(shown: tuple[int, int]) -> int:
    answered, done = shown
    metrics.analyses.labels("evidence_only").inc(done)
    return answered
