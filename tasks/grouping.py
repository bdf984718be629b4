"""Show what the evidence says of new alerts, put them and anomalies into incidents, and ask about what has settled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from billiard.exceptions import SoftTimeLimitExceeded
from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy.orm import Session

from db import exclusive
from db.queries import incidents, ungrouped
from db.queries.ungrouped import AlertChange
from sensus import logs, metrics
from tasks import call_graph, signatures
from tasks.answering import answer_alerts
from tasks.app import app
from tasks.base import SensusTask, may_pass
from tasks.joining import Joining, Outcome

log = logs.get_logger(__name__)

# Small, so that one transaction is short and an odd alert costs few others a second try.
CHANGES_A_PORTION = 200
ANOMALIES_A_LOOK = 300
ANOMALIES_FOR = timedelta(minutes=30)
OVER_A_RUN = 500
ANALYSES_A_RUN = 50
# A state settles at most so many times as slowly as the first.
SLOWEST_TIMES = 16
_BUDGET_S = 60.0


@app.task(base=SensusTask, bind=True)
def group(self: SensusTask) -> None:
    """Take in whatever no incident knows of yet; one process at a time, the others find nothing to do."""
    with exclusive.alone(self.database, exclusive.GROUPING) as is_alone:
        if not is_alone:
            return
        until = time.monotonic() + _BUDGET_S
        _take_changes(self, until)
        _forget_late(self)
        _take_anomalies(self)
        _resolve(self)
        asked = _ask(self)
    _knock(asked)


def _take_changes(task: SensusTask, until: float) -> None:
    while time.monotonic() < until:
        with task.transaction() as session:
            waiting = ungrouped.changes(session, limit=CHANGES_A_PORTION)
        if not waiting:
            return
        # First, since who takes the changes in moves on from them; done twice it changes nothing.
        answer_alerts(task.database, _fired(waiting))
        try:
            _taken(task, waiting)
        except Exception as error:
            if isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
                raise
            log.warning("changes_taken_one_by_one", count=len(waiting), error=type(error).__name__)
            for change in waiting:
                if time.monotonic() > until:
                    return
                _take_alone(task, change)


def _fired(changes: Sequence[AlertChange]) -> dict[int, str | None]:
    """The alerts that began to fire, with the requests that told so."""
    return {change.alert_id: change.request_id for change in changes if change.fires}


def _forget_late(task: SensusTask) -> None:
    with task.transaction() as session:
        ungrouped.forget_what_never_came(session)


def _take_alone(task: SensusTask, change: AlertChange) -> None:
    """As `_taken`, of one; one that fails is left without an incident, so that it holds up nobody."""
    try:
        _taken(task, [change])
    except Exception as error:
        if isinstance(error, SoftTimeLimitExceeded) or may_pass(error):
            raise
        log.exception("alert_not_grouped", alert_id=change.alert_id)
        with task.transaction() as session:
            ungrouped.take_changes(session, [change.id])


def _taken(task: SensusTask, changes: Sequence[AlertChange]) -> None:
    with task.transaction() as session:
        outcome = _joining(task, session).take_changes(changes)
    _count(outcome, "alert")


def _take_anomalies(task: SensusTask) -> None:
    with task.transaction() as session:
        ungrouped.pass_over_old_anomalies(session, older_than=ANOMALIES_FOR, limit=10 * ANOMALIES_A_LOOK)
        waiting = ungrouped.anomalies(session, limit=ANOMALIES_A_LOOK, younger_than=ANOMALIES_FOR)
        outcome = _joining(task, session).take_anomalies(waiting) if waiting else Outcome()
    _count(outcome, "anomaly")


def _joining(task: SensusTask, session: Session) -> Joining:
    return Joining(session, call_graph.known(session), task.settings.service_labels, request_id=_request())


def _resolve(task: SensusTask) -> None:
    with task.transaction() as session:
        over = incidents.resolve_over(session, limit=OVER_A_RUN, request_id=_request())
    if over:
        metrics.incidents_changed.labels("resolved").inc(len(over))
        log.info("incidents_resolved", count=len(over), incident_ids=over[:20])


def _ask(task: SensusTask) -> list[int]:
    with task.transaction() as session:
        return incidents.ask_for_analyses(
            session,
            settle=timedelta(seconds=task.settings.incident_settle_s),
            most_times=SLOWEST_TIMES,
            limit=ANALYSES_A_RUN,
        )


def _knock(analysis_ids: Sequence[int]) -> None:
    try:
        if analysis_ids:
            signatures.answer()
        signatures.analyse(analysis_ids=analysis_ids)
    except BrokerAway:
        # The rows are there, so the sweep finds them.
        metrics.messages_lost.labels("analyse").inc()


def _count(outcome: Outcome, kind: str) -> None:
    counts = outcome.counts()
    for change, count in counts.items():
        metrics.incidents_changed.labels(change).inc(count)
    metrics.incident_members.labels(kind).inc(outcome.joined)
    if outcome.joined:
        log.info("members_joined", kind=kind, count=outcome.joined, **counts)


def _request() -> str:
    return logs.bound_request_id() or logs.new_request_id()
