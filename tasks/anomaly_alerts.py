"""Tell the Alertmanager of our anomalies, so that people's routes, silences and receivers serve them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from db import exclusive
from db.queries import anomaly_alerts, listings
from db.queries.anomaly_alerts import Due
from sensus import logs, metrics, times
from tasks import alertmanager_posts
from tasks.alertmanager import AlertmanagerAway, without_credentials
from tasks.anomaly_words import as_alert
from tasks.app import app
from tasks.base import SensusTask

log = logs.get_logger(__name__)

# An Alertmanager that forgot everything at its restart has the alert again after so long.
REFRESH_S = 30.0
# Should nobody of ours be left to tell the end, the Alertmanager sees it by itself.
FIRES_FOR_S = 300.0
# Twice the `group_wait` of most configurations: a spike that is over sooner would reach nobody.
LEAST_LIFE_S = 60.0


@app.task(base=SensusTask, bind=True)
def tell(self: SensusTask) -> None:
    """Note what fires and what is over, and tell what is to be told; without the setting there is nothing to do."""
    if not self.settings.anomaly_alerts:
        return
    # Two that told at once would do no harm, and twice the work.
    with exclusive.alone(self.database, exclusive.ANOMALY_ALERTS) as is_alone:
        if is_alone:
            _note(self)
            _tell(self)


def _note(task: SensusTask) -> None:
    with task.transaction() as session:
        ended = anomaly_alerts.end_calm(session)
        fired = anomaly_alerts.fire(session, map(as_alert, anomaly_alerts.new_anomalies(session)))
    for change, ids in (("fired", fired), ("ended", ended)):
        metrics.anomaly_alerts.labels(change).inc(len(ids))
        if ids:
            log.info("anomaly_alerts", change=change, count=len(ids))


def _tell(task: SensusTask) -> None:
    with task.transaction() as session:
        due = anomaly_alerts.due(session, refresh_s=REFRESH_S, least_life_s=LEAST_LIFE_S)
    if not due:
        return
    at = times.now()
    until = at + timedelta(seconds=FIRES_FOR_S)
    urls = task.settings.alertmanager_urls()
    heard = sum(_is_heard(task, url, due, until) for url in urls)
    fires = [alert.id for alert in due if alert.ends_at is None]
    over = [alert.id for alert in due if alert.ends_at is not None]
    with task.transaction() as session:
        if heard:
            anomaly_alerts.note_told(session, fires, at=at, until=until)
        # A member of a cluster that did not hear of an end would tell the others that it still fires.
        if heard == len(urls):
            anomaly_alerts.note_end_told(session, over, at=at)


def _is_heard(task: SensusTask, url: str, due: Sequence[Due], until: datetime) -> bool:
    try:
        alertmanager_posts.post(url, due, until=until)
    except AlertmanagerAway as error:
        outcome = error.outcome
        address = without_credentials(url)
        with task.transaction() as session:
            is_first = listings.note_failure(session, address, times.now())
        if is_first:
            log.warning("alertmanager_away", address=address, reason=str(error))
    else:
        outcome = "done"
    metrics.anomaly_alert_posts.labels(outcome).inc()
    return outcome == "done"
