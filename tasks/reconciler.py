"""Ask the Alertmanager what it lists, and put our alerts right by it."""

from __future__ import annotations

from datetime import datetime

from kombu.exceptions import OperationalError as BrokerAway

from db.queries import listings
from sensus import logs, metrics, times
from sensus.errors import Unavailable
from tasks import alertmanager, signatures
from tasks.alertmanager import AlertmanagerAway, Reading
from tasks.app import app
from tasks.base import SensusTask
from tasks.comparison import Changes, Comparison, Overtaken

log = logs.get_logger(__name__)

_TRIES = 3


@app.task(base=SensusTask, bind=True)
def reconcile(self: SensusTask) -> None:
    """Compare once; without an Alertmanager in the settings there is nothing to do."""
    urls = self.settings.alertmanager_urls()
    if not urls:
        return
    asked_at = times.now()
    answers: dict[str, Reading] = {}
    outcome = "done"
    try:
        for url in urls:
            try:
                answers[url] = alertmanager.read(url)
            except AlertmanagerAway as error:
                outcome = error.outcome
                _note_failure(self, url, error, asked_at)
        if answers:
            comparison = Comparison(urls, answers, asked_at, self.settings.alertmanager_receivers)
            _tell(_applied(self, comparison))
    except Unavailable as error:
        # Not tried again by itself: the next reading comes soon, and knows more.
        outcome = "database_away"
        log.warning("not_reconciled", reason=str(error))
    metrics.reconciler_runs.labels(outcome).inc()


def _applied(task: SensusTask, comparison: Comparison) -> Changes:
    for _ in range(_TRIES):
        try:
            with task.transaction() as session:
                return comparison.apply(session)
        except Overtaken:
            continue
    log.warning("not_reconciled", reason="webhooks kept bringing the same alerts; the next reading sees them")
    return Changes()


def _note_failure(task: SensusTask, url: str, error: AlertmanagerAway, at: datetime) -> None:
    address = alertmanager.without_credentials(url)
    with task.transaction() as session:
        is_first = listings.note_failure(session, address, at)
    if is_first:
        log.warning("alertmanager_away", address=address, reason=str(error))


def _tell(changes: Changes) -> None:
    for address in changes.back:
        log.info("alertmanager_back", address=address)
    for change, count in {**changes.counts(), "not_storable": changes.not_storable}.items():
        metrics.alerts_reconciled.labels(change).inc(count)
    if any(changes.counts().values()):
        log.info("alerts_reconciled", **changes.counts())
    if not any(changes.counts().values()):
        return
    try:
        signatures.group()
    except BrokerAway:
        # The rows are there, so beat's next message finds them.
        metrics.messages_lost.labels("group").inc()
