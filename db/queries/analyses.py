"""Which root-cause analyses wait, who has them, and what came of them.

The model is asked about each state of an incident, and about an alert when a person asks; what an alert asks by itself
is answered from the evidence alone. A claim has an attempt and a lease, as with series, and `failures` counts the
claims since the last success.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from db import direct
from db.models.alert import Alert
from db.models.analysis import LLM, AnalysisResult
from db.models.incident import Incident

MOST_FAILURES = 5
# An answer without a model is made up for while its alert fires, and this long after it was asked for.
REPLACEABLE_FOR = timedelta(hours=24)
# An answer to the same question is as good as a new one for this long.
CACHED_FOR = timedelta(hours=24)

_A = AnalysisResult
_FREE = or_(_A.lease_until.is_(None), _A.lease_until < func.now())
_UNFINISHED = and_(_A.analysis_type == LLM, _A.status.in_(("pending", "running")))
_FOR_THE_MODEL = or_(_A.incident_id.is_not(None), _A.automatic.is_(False))
_WAITING = and_(_UNFINISHED, _A.failures < MOST_FAILURES)
_ANSWERING_LOCK = 0x53656E73_0003
_ANSWER_MEANWHILE = """
    UPDATE ai_analysis_results SET
        outcome = r.outcome, model_name = r.model_name, confidence_score = r.confidence,
        question_digest = r.question_digest, analysis_data = r.data,
        status = CASE WHEN automatic AND incident_id IS NULL THEN 'done' ELSE status END,
        finished_at = CASE WHEN automatic AND incident_id IS NULL THEN now() END
    FROM json_to_recordset(%(rows)s::json) AS r (
        id bigint, outcome text, model_name text, confidence double precision, question_digest text, data jsonb
    )
    WHERE ai_analysis_results.id = r.id AND ai_analysis_results.status = 'pending'
        AND ai_analysis_results.outcome IS NULL
    RETURNING ai_analysis_results.status
    """
_AUTOMATIC = f"ON CONFLICT (alert_id) WHERE analysis_type = '{LLM}' AND automatic DO NOTHING"
_ADD_ANSWERED = f"""
    INSERT INTO ai_analysis_results (
        alert_id, analysis_type, status, automatic, request_id, outcome, model_name, confidence_score,
        question_digest, analysis_data, finished_at
    )
    SELECT alert_id, '{LLM}', 'done', true, request_id, outcome, model_name, confidence, question_digest, data, now()
    FROM json_to_recordset(%(rows)s::json) AS r (
        alert_id bigint, request_id text, outcome text, model_name text, confidence double precision,
        question_digest text, data jsonb
    ) ORDER BY alert_id
    {_AUTOMATIC} RETURNING id
    """  # noqa: S608 (only constants of this module are put together)
_ADD_ASIDE = f"""
    INSERT INTO ai_analysis_results (alert_id, analysis_type, status, automatic, request_id, failures, lease_until)
    VALUES (%(alert_id)s, '{LLM}', 'pending', true, %(request_id)s, 1, now() + %(pause)s)
    {_AUTOMATIC}
    """  # noqa: S608 (only constants of this module are put together)


@dataclass(frozen=True, slots=True)
class AnalysisClaim:
    """An analysis that this worker has until the lease ends."""

    id: int
    alert_id: int | None  # None for one that a whole incident asks for
    incident_id: int | None
    incident_state: int | None
    attempt: int
    failures: int  # this claim included
    was_pending: bool  # nothing is stored of it yet
    automatic: bool  # nobody asked for it by hand
    request_id: str | None  # of the request that caused it
    replaces: bool  # it has an answer without a model, which stays until there is a better one


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is stored of an analysis."""

    outcome: str
    model_name: str | None
    confidence: float
    question_digest: str
    data: Mapping[str, Any]


def claim(session: Session, analysis_id: int, *, lease_s: float, holder: str | None = None) -> AnalysisClaim | None:
    """Take an analysis that waits, was left by its worker, or has an answer without a model that can be bettered.

    `holder` is the name of the worker. None when somebody has it or nothing is to be done.
    """
    row = session.execute(
        select(
            _A.id,
            _A.alert_id,
            _A.incident_id,
            _A.incident_state,
            _A.attempt,
            _A.failures,
            _A.status,
            _A.outcome,
            _A.automatic,
            _A.request_id,
        )
        .where(_A.id == analysis_id, _FREE, _FOR_THE_MODEL, or_(_WAITING, _replaceable()))
        # Who holds the row will let go of it in a moment, and may only have shown an answer meanwhile: passing over it
        # would lose this message.
        .with_for_update(of=_A)
    ).one_or_none()
    if row is None:
        return None
    done = row.status == "done"
    session.execute(
        update(_A)
        .where(_A.id == analysis_id)
        .values(
            # What has an answer keeps showing it.
            status="done" if done else "running",
            attempt=row.attempt + 1,
            failures=row.failures + 1,
            lease_until=func.now() + timedelta(seconds=lease_s),
            claimed_by=holder,
        )
    )
    return AnalysisClaim(
        id=row.id,
        alert_id=row.alert_id,
        incident_id=row.incident_id,
        incident_state=row.incident_state,
        attempt=row.attempt + 1,
        failures=row.failures + 1,
        was_pending=row.outcome is None,
        automatic=row.automatic,
        request_id=row.request_id,
        replaces=done,
    )


def keep_provisional(session: Session, claimed: AnalysisClaim, answer: Answer) -> bool:
    """Show this answer while the analysis goes on; False when the claim was lost."""
    return _change(session, claimed, **_columns(answer))


def only_one_answers(session: Session) -> bool:
    """Whether nobody else answers meanwhile; until the end of the transaction nobody will."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(_ANSWERING_LOCK))))


def unanswered(session: Session, *, limit: int) -> list[tuple[int, int]]:
    """Analyses of alerts that nobody has and that show nothing yet, with their alerts, newest first."""
    rows = session.execute(_unanswered(limit).where(_A.alert_id.is_not(None)))
    return [(row.id, row.alert_id) for row in rows]


def unanswered_incidents(session: Session, *, limit: int) -> list[tuple[int, int]]:
    """Analyses of incidents that nobody has and that show nothing yet, with their incidents, newest first."""
    rows = session.execute(_unanswered(limit).where(_A.incident_id.is_not(None)))
    return [(row.id, row.incident_id) for row in rows]


def answer_meanwhile(session: Session, answers: Mapping[int, Answer]) -> tuple[int, int]:
    """Show these answers of analyses that still wait, by their ids; how many do now, and how many are done with it.

    What an alert asks by itself is; what the model is to be asked goes on waiting for it.
    """
    rows = [{"id": analysis_id, **_told(answer)} for analysis_id, answer in sorted(answers.items())]
    given = {"rows": msgspec.json.encode(rows).decode()}
    states = [status for (status,) in direct.execute(session, _ANSWER_MEANWHILE, given)]
    return len(states), states.count("done")


def without_own(session: Session, alert_ids: Collection[int]) -> list[int]:
    """Those of these alerts that have no analysis of their own yet."""
    own = select(_A.alert_id).where(_A.alert_id.in_(alert_ids), _A.analysis_type == LLM, _A.automatic)
    return sorted(set(alert_ids) - set(session.scalars(own)))


def add_answered(session: Session, answers: Mapping[int, Answer], requests: Mapping[int, str | None]) -> int:
    """Give alerts their own analysis, done with this answer, by the alert; how many have it from now on.

    An alert has one, so those that have theirs already are passed over. `requests` are the requests that told of them.
    """
    rows = [
        {"alert_id": alert_id, "request_id": requests[alert_id], **_told(answer)}
        for alert_id, answer in sorted(answers.items())
    ]
    return len(direct.execute(session, _ADD_ANSWERED, {"rows": msgspec.json.encode(rows).decode()}).fetchall())


def add_aside(session: Session, alert_id: int, *, request_id: str | None, pause_s: float) -> None:
    """Our own work on an alert's own analysis failed: it waits, and is not tried again before a pause is over."""
    given = {"alert_id": alert_id, "request_id": request_id, "pause": timedelta(seconds=pause_s)}
    direct.execute(session, _ADD_ASIDE, given)


def set_aside(session: Session, analysis_id: int, *, pause_s: float) -> None:
    """Our own work on an analysis that still waits failed: it counts, and is not tried again before a pause is over."""
    session.execute(
        update(_A)
        .where(_A.id == analysis_id, _A.status == "pending", _A.outcome.is_(None), _FREE)
        .values(failures=_A.failures + 1, lease_until=func.now() + timedelta(seconds=pause_s))
    )


def finish(session: Session, claimed: AnalysisClaim, answer: Answer) -> bool:
    """The analysis is done with this answer; False when the claim was lost, and then nothing happens."""
    return _change(
        session,
        claimed,
        status="done",
        failures=0,
        lease_until=None,
        claimed_by=None,
        finished_at=func.now(),
        **_columns(answer),
    )


def finish_for_now(
    session: Session, claimed: AnalysisClaim, answer: Answer, *, pause_s: float, blameless: bool
) -> bool:
    """Done without a model: kept, and open to a better answer after a pause.

    `blameless` when the question had no part in the failure, so that it is not counted.
    """
    return _change(
        session,
        claimed,
        status="done",
        failures=0 if blameless else claimed.failures,
        lease_until=func.now() + timedelta(seconds=pause_s) if pause_s else None,
        claimed_by=None,
        finished_at=func.now(),
        **_columns(answer),
    )


def give_back(session: Session, claimed: AnalysisClaim, *, pause_s: float) -> bool:
    """Our own work failed: let somebody try again after a pause, with whatever answer is stored so far."""
    return _change(session, claimed, lease_until=func.now() + timedelta(seconds=pause_s), claimed_by=None)


def cached(session: Session, question_digest: str) -> AnalysisResult | None:
    """The newest model's answer to the same question that is not too old."""
    return session.scalar(
        select(_A)
        .where(
            _A.question_digest == question_digest,
            _A.outcome == "model",
            _A.status == "done",
            _A.finished_at > func.now() - CACHED_FOR,
            # A copy is no fresher than what it was copied from.
            _A.analysis_data["cached"].astext.is_distinct_from("true"),
        )
        .order_by(_A.id.desc())
        .limit(1)
    )


def waiting(session: Session, *, limit: int, older_than_s: float) -> list[int]:
    """Analyses for the model that nobody has, asked for so long ago that their message is probably lost."""
    asked_before = func.now() - timedelta(seconds=older_than_s)
    return list(
        session.scalars(
            select(_A.id)
            .where(_WAITING, _FOR_THE_MODEL, _FREE, _A.created_at < asked_before)
            .order_by(_A.id.desc())
            .limit(limit)
        )
    )


def replaceable(session: Session, *, limit: int) -> list[int]:
    """Analyses that have an answer without a model only and may have a better one, newest first."""
    return list(session.scalars(replaceable_query(limit)))


def replaceable_query(limit: int) -> Select[int]:
    """The statement behind it."""
    return select(_A.id).where(_replaceable(), _FREE).order_by(_A.id.desc()).limit(limit)


def give_up(session: Session, *, reason: str) -> list[int]:
    """Fail what was claimed again and again without an end; an answer that it has stays."""
    rows = session.scalars(
        update(_A)
        .where(_UNFINISHED, _A.failures >= MOST_FAILURES, _FREE)
        .values(
            status="failed",
            lease_until=None,
            claimed_by=None,
            finished_at=func.now(),
            analysis_data=_A.analysis_data.op("||")(func.jsonb_build_object("reason", reason)),
        )
        .returning(_A.id)
    )
    return list(rows)


def _replaceable() -> ColumnElement[bool]:
    is_young = _A.created_at > func.now() - REPLACEABLE_FOR
    fires = exists().where(Alert.id == _A.alert_id, Alert.status == "firing")
    # Of an incident only the newest state is worth another question.
    of_incident = exists().where(
        Incident.id == _A.incident_id,
        Incident.state == _A.incident_state,
        Incident.merged_into.is_(None),
        or_(is_young, Incident.status != "resolved"),
    )
    of_person = and_(_A.incident_id.is_(None), _A.automatic.is_(False), or_(is_young, fires))
    return and_(
        _A.analysis_type == LLM,
        _A.status == "done",
        _A.outcome == "evidence_only",
        # As the index has it.
        or_(_A.incident_id.is_not(None), _A.automatic.is_(False)),
        _A.failures < MOST_FAILURES,
        or_(of_incident, of_person),
    )


def _unanswered(limit: int) -> Select[int, int | None, int | None]:
    return (
        select(_A.id, _A.alert_id, _A.incident_id)
        .where(_WAITING, _A.status == "pending", _A.outcome.is_(None), _FREE)
        .order_by(_A.id.desc())
        .limit(limit)
    )


def _told(answer: Answer) -> dict[str, Any]:
    return {
        "outcome": answer.outcome,
        "model_name": answer.model_name,
        "confidence": answer.confidence,
        "question_digest": answer.question_digest,
        "data": answer.data,
    }


def _columns(answer: Answer) -> dict[str, Any]:
    return {
        "outcome": answer.outcome,
        "model_name": answer.model_name,
        "confidence_score": answer.confidence,
        "question_digest": answer.question_digest,
        "analysis_data": dict(answer.data),
    }


def _change(session: Session, claimed: AnalysisClaim, **values: Any) -> bool:
    # The attempt is the guard: a worker that comes late finds a higher one, and changes nothing. The state is
    # that of the claim, so that nobody finishes twice.
    state = and_(_A.status == "done", _A.outcome == "evidence_only") if claimed.replaces else _A.status == "running"
    row = session.execute(
        update(_A).where(_A.id == claimed.id, _A.attempt == claimed.attempt, state).values(**values).returning(_A.id)
    ).one_or_none()
    return row is not None
