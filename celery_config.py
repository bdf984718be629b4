"""Queues, schedules and delivery of Celery: configuration as data."""

from __future__ import annotations

from celery.schedules import crontab
from kombu import Queue

# A message that nobody confirmed is delivered again after this long; every task ends well before.
VISIBILITY_TIMEOUT_S = 900

# More often than each minute, because many an alert lives for half of one.
RECONCILE_EVERY_S = 20.0
# An alert has what the evidence supports this long after it came, whatever the model is busy with.
ANSWER_EVERY_S = 5.0
# An anomaly whose knock was lost is told this late at most, and an end is seen within it.
TELL_ALERTMANAGER_EVERY_S = 10.0
# What a lost knock left behind joins its incident, and an incident that is over is told so, within this.
GROUP_EVERY_S = 5.0
LEARN_EVERY_S = 20.0
READ_RUNBOOKS_EVERY_S = 60.0
TELL_PEOPLE_EVERY_S = 5.0

QUEUES = ("anomaly", "llm", "maintenance")

task_queues = tuple(Queue(name) for name in QUEUES)
task_default_queue = "maintenance"
task_create_missing_queues = False
task_routes = {
    "tasks.scoring.*": {"queue": "anomaly"},
    "tasks.analysis.*": {"queue": "llm"},
    "tasks.training.*": {"queue": "maintenance"},
    "tasks.evaluation.*": {"queue": "maintenance"},
    "tasks.upkeep.*": {"queue": "maintenance"},
    "tasks.reconciler.*": {"queue": "maintenance"},
    "tasks.anomaly_alerts.*": {"queue": "maintenance"},
    "tasks.grouping.*": {"queue": "maintenance"},
    "tasks.topology.*": {"queue": "maintenance"},
    "tasks.runbooks.*": {"queue": "maintenance"},
    "tasks.notify.*": {"queue": "maintenance"},
}

include = [
    "tasks.signals",
    "tasks.claims",
    "tasks.scoring",
    "tasks.analysis",
    "tasks.training",
    "tasks.evaluation",
    "tasks.upkeep",
    "tasks.reconciler",
    "tasks.anomaly_alerts",
    "tasks.grouping",
    "tasks.topology",
    "tasks.runbooks",
    "tasks.notify",
]

task_serializer = "json"
accept_content = ["json"]
# The row holds the result; a message is only a knock on the door.
task_ignore_result = True
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
task_soft_time_limit = 270
task_time_limit = 300
task_send_sent_event = True
worker_send_task_events = True
worker_hijack_root_logger = False
worker_soft_shutdown_timeout = 10
worker_enable_soft_shutdown_on_idle = True

broker_connection_retry_on_startup = True
broker_connection_max_retries = None
visibility_timeout = VISIBILITY_TIMEOUT_S
# The restore options bring back the work of a killed worker in seconds; by default that takes minutes.
broker_transport_options = {
    "visibility_timeout": VISIBILITY_TIMEOUT_S,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_keepalive": True,
    "socket_connect_timeout": 5,
    "health_check_interval": 25,
}
result_backend_transport_options = {"visibility_timeout": VISIBILITY_TIMEOUT_S}

timezone = "UTC"
enable_utc = True
beat_schedule = {
    "sweep for unfinished work": {
        "task": "tasks.upkeep.sweep",
        "schedule": crontab(),
        # A sweep that waited a minute is as good as the next one.
        "options": {"expires": 55},
    },
    "answer before the model": {
        "task": "tasks.upkeep.answer_unanswered",
        "schedule": ANSWER_EVERY_S,
        "options": {"expires": ANSWER_EVERY_S},
    },
    "put alerts into incidents": {
        "task": "tasks.grouping.group",
        "schedule": GROUP_EVERY_S,
        "options": {"expires": GROUP_EVERY_S},
    },
    "compare with the list of the Alertmanager": {
        "task": "tasks.reconciler.reconcile",
        # An alert that is over is listed no more, so one that lives shorter than this may never be seen.
        "schedule": RECONCILE_EVERY_S,
        "options": {"expires": 55},
    },
    "tell the Alertmanager of anomalies": {
        "task": "tasks.anomaly_alerts.tell",
        "schedule": TELL_ALERTMANAGER_EVERY_S,
        "options": {"expires": TELL_ALERTMANAGER_EVERY_S},
    },
    "learn who calls whom": {
        "task": "tasks.topology.learn",
        "schedule": LEARN_EVERY_S,
        "options": {"expires": LEARN_EVERY_S},
    },
    "see again who calls whom": {"task": "tasks.topology.refresh", "schedule": crontab(minute="*/10")},
    "read the runbooks": {
        "task": "tasks.runbooks.synchronise",
        "schedule": READ_RUNBOOKS_EVERY_S,
        "options": {"expires": READ_RUNBOOKS_EVERY_S},
    },
    "tell people": {
        "task": "tasks.notify.tell",
        "schedule": TELL_PEOPLE_EVERY_S,
        "options": {"expires": TELL_PEOPLE_EVERY_S},
    },
    "make and drop partitions": {"task": "tasks.upkeep.keep_house", "schedule": crontab(hour=0, minute=30)},
    "retrain nightly": {"task": "tasks.training.start_training", "schedule": crontab(hour=2, minute=0)},
    "evaluate every six hours": {
        "task": "tasks.evaluation.start_evaluation",
        "schedule": crontab(hour="0,6,12,18", minute=0),
    },
}
