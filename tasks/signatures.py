"""The one door to the workers: a typed function for each message.

Each raises `kombu.exceptions.OperationalError` when the broker is away; the sweep makes up for a lost message.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sensus import logs
from tasks.app import app


def score_series(*, series_ids: Sequence[int]) -> None:
    """Tell the scorers that these series have new samples."""
    _send("tasks.scoring.score_series", series_ids=list(series_ids))


def analyse(*, analysis_ids: Sequence[int]) -> None:
    """Tell the analysts that these analyses wait; one message each, so that they are shared out."""
    for analysis_id in analysis_ids:
        _send("tasks.analysis.analyse", analysis_id=analysis_id)


def tell_anomalies() -> None:
    """Tell the maintenance worker that there are anomalies of which the Alertmanager does not know."""
    _send("tasks.anomaly_alerts.tell")


def group() -> None:
    """Tell the maintenance worker that alerts have changed that no incident knows of yet."""
    _send("tasks.grouping.group")


def answer() -> None:
    """Tell the maintenance worker that alerts or incidents wait for what the evidence alone supports."""
    _send("tasks.upkeep.answer_unanswered")


def train(*, run_id: uuid.UUID) -> None:
    """Tell the maintenance worker that this training waits, or goes on."""
    _send("tasks.training.train", run_id=str(run_id))


def evaluate(*, run_id: uuid.UUID) -> None:
    """Tell the maintenance worker that this evaluation waits."""
    _send("tasks.evaluation.evaluate", run_id=str(run_id))


def workers_answering(*, timeout_s: float) -> tuple[str, ...]:
    """Names of the workers that answer a ping, such as `anomaly@host`."""
    replies = app.control.ping(timeout=timeout_s, limit=len(app.conf.task_queues)) or []
    return tuple(sorted(name for reply in replies for name in reply))


def _send(task: str, **arguments: object) -> None:
    headers = {"request_id": logs.bound_request_id() or logs.new_request_id()}
    app.send_task(task, kwargs=arguments, headers=headers, retry=False)
