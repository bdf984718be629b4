"""What happens around every task and worker: logs with the request's id, figures, and connections that end."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.exceptions import SoftTimeLimitExceeded

from sensus import figures, logs, metrics, settings, tracing
from tasks.resources import close_resources

if TYPE_CHECKING:
    from sensus.spans import Running

log = logs.get_logger(__name__)

# Celery says of each task that it came and went; a metric tells that better.
_CHATTY = ("celery.app.trace", "celery.beat", "celery.worker.consumer.connection")
_began: dict[str, float] = {}
_spans: dict[str, Running] = {}


@signals.setup_logging.connect
def set_up_logging(**_: Any) -> None:
    """Celery's loggers go through ours; that this exists keeps Celery from setting up its own."""
    current = settings.current()
    logs.configure(current.log_level, current.log_format)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(current.log_level)))


@signals.worker_init.connect
def compile_before_the_fork(sender: Any = None, **_: Any) -> None:
    """The children inherit the machine code of scoring; none of them compiles while samples wait."""
    app = getattr(sender, "app", None)
    if app is not None and {"anomaly", "maintenance"} & set(app.amqp.queues.consume_from):
        from ml.warm import warm_up

        warm_up()


@signals.worker_process_init.connect
def begin_process(**_: Any) -> None:
    """A child knows nothing of what its parent was doing."""
    logs.unbind_all()
    _began.clear()
    _spans.clear()
    tracing.configure(settings.current().otlp_endpoint, "sensus-worker")


@signals.worker_process_shutdown.connect
def end_process(pid: int | None = None, **_: Any) -> None:
    """A child that ends leaves no connection open."""
    close_resources()
    tracing.close()
    metrics.forget_process(pid or os.getpid())


@signals.task_prerun.connect
def begin_task(task_id: str = "", task: Any = None, **_: Any) -> None:
    """Every line of the task carries the id of the request that caused it."""
    request_id = logs.sane_request_id(getattr(task.request, "request_id", None))
    logs.bind(request_id=request_id, task=task.name, task_id=task_id)
    _began[task_id] = time.perf_counter()
    if (span := tracing.begin_task(task.name, **{"messaging.system": "celery", "celery.task_id": task_id})) is not None:
        _spans[task_id] = span


@signals.task_postrun.connect
def end_task(task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
    """The figures of the task that has ended."""
    began = _began.pop(task_id, None)
    if began is not None:
        metrics.task_duration.labels(task.name).observe(time.perf_counter() - began)
    if (span := _spans.pop(task_id, None)) is not None:
        span.end(failed="failed" if state == "FAILURE" else None, **{"celery.state": state or "unknown"})
    queue = (task.request.delivery_info or {}).get("routing_key") or "none"
    metrics.tasks_run.labels(queue, task.name, (state or "unknown").lower()).inc()
    logs.unbind_all()


@signals.task_failure.connect
def tell_failure(exception: BaseException | None = None, **_: Any) -> None:
    """What failed, before Celery's own line with the traceback."""
    out_of_time = isinstance(exception, SoftTimeLimitExceeded)
    log.error("task_failed", error=type(exception).__name__, out_of_time=out_of_time)


@signals.worker_ready.connect
@signals.beat_init.connect
def show_figures(**_: Any) -> None:
    """Without an API beside it a process shows its figures; a worker's children were forked before this thread."""
    current = settings.current()
    if current.metrics_port:
        figures.show(current.host, current.metrics_port)


@signals.beat_init.connect
def tell_that_beat_lives(**_: Any) -> None:
    """From now on this process notes each message that it sends."""
    signals.after_task_publish.connect(_note_sent, weak=False)


def _note_sent(**_: Any) -> None:
    metrics.beat_sent.set_to_current_time()


@signals.worker_ready.connect
def look_for_unfinished_work(sender: Any = None, **_: Any) -> None:
    """What was left when the stack stopped is taken up at once, not at the next full minute."""
    app = getattr(sender, "app", None)
    if app is not None and "maintenance" in app.amqp.queues.consume_from:
        headers = {"request_id": logs.new_request_id()}
        try:
            for task in ("tasks.upkeep.sweep", "tasks.reconciler.reconcile"):
                app.send_task(task, expires=55, headers=headers, retry=False)
        except Exception as error:
            log.warning("message_not_sent", task="sweep", error=type(error).__name__)
