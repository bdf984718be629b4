"""Tell people of finished analyses: claim what is due, send it, keep what came of it."""

from __future__ import annotations

import time
from datetime import timedelta

from db import exclusive
from db.queries import notifications
from db.queries.notifications import NotificationClaim
from sensus import logs, metrics, times
from sensus.settings import Settings
from sensus.targets import Target, targets
from tasks.app import app
from tasks.base import SensusTask
from tasks.delivery import START_S, Delivered, deliver_all
from tasks.joining import FLAP
from tasks.notice import Notice, notice_of
from tasks.telling import must_last

log = logs.get_logger(__name__)

_BUDGET_S = 60.0
# What the rest of a try may take on top of the target's part.
_MARGIN_S = START_S + 30.0
_LONGEST_PAUSE_S = 300.0


@app.task(base=SensusTask, bind=True)
def tell(self: SensusTask) -> None:
    """Send what is due; one process at a time, so that what hangs never takes more than one."""
    there = targets(self.settings.notification_urls())
    with exclusive.alone(self.database, exclusive.NOTIFYING) as is_alone:
        if is_alone:
            _skip(self, there)
            _send(self, there, until=time.monotonic() + _BUDGET_S)


def _skip(task: SensusTask, there: tuple[Target, ...]) -> None:
    with task.transaction() as session:
        skipped = notifications.skip(
            session, targets=[target.name for target in there], lasts=must_last(task.settings), back=FLAP
        )
    metrics.notifications.labels("skipped").inc(skipped)


def _send(task: SensusTask, there: tuple[Target, ...], *, until: float) -> None:
    """One to each target at a time, until nothing is due; a target that fails is left alone until the next run."""
    while there and time.monotonic() < until:
        due = [(target, *found) for target in there if (found := _claim(task, target)) is not None]
        outcomes = deliver_all(
            [(target, notice) for target, _, notice in due], timeout_s=task.settings.notify_timeout_s
        )
        for (_, claim, _), outcome in zip(due, outcomes, strict=True):
            _keep(task, claim, outcome)
        there = tuple(target for (target, _, _), outcome in zip(due, outcomes, strict=True) if outcome.is_sent)


def _claim(task: SensusTask, target: Target) -> tuple[NotificationClaim, Notice] | None:
    settings = task.settings
    with task.transaction() as session:
        claim = notifications.claim(
            session,
            target.name,
            lasts=must_last(settings),
            rest=timedelta(seconds=settings.notify_retry_s),
            lease=timedelta(seconds=settings.notify_timeout_s + _MARGIN_S),
            holder=task.holder,
        )
        if claim is None:
            return None
        incident, analysis = notifications.subject(session, claim)
        return claim, notice_of(claim, incident, analysis, people_url=settings.people_url())


def _keep(task: SensusTask, claim: NotificationClaim, outcome: Delivered) -> None:
    is_last = times.now() - claim.created_at > notifications.GIVE_UP_AFTER
    with task.transaction() as session:
        if outcome.is_sent:
            kept = notifications.sent(
                session, claim, at=times.now(), request_id=logs.bound_request_id() or logs.new_request_id()
            )
        else:
            pause = timedelta(seconds=_pause_s(task.settings, claim.attempt))
            kept = notifications.not_sent(
                session, claim, error=outcome.error or "unknown", pause=pause, is_last=is_last
            )
    facts = {"incident_id": claim.incident_id, "state": claim.incident_state, "target": claim.target}
    if not kept:
        log.info("notification_came_late", attempt=claim.attempt, **facts)
        return
    metrics.notifications.labels("sent" if outcome.is_sent else "failed" if is_last else "retried").inc()
    if outcome.is_sent:
        log.info("notification_sent", attempt=claim.attempt, **facts)
    else:
        log.warning("notification_not_sent", attempt=claim.attempt, reason=outcome.error, given_up=is_last, **facts)


def _pause_s(settings: Settings, attempt: int) -> float:
    longest = max(_LONGEST_PAUSE_S, settings.notify_retry_s)
    return float(min(settings.notify_retry_s * 2.0 ** min(attempt - 1, 30), longest))
