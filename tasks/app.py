"""The Celery application; workers start with `celery -A tasks.app`."""

from __future__ import annotations

from celery import Celery

from sensus import settings

app = Celery("sensus", broker=settings.current().require_redis_url())
app.config_from_object("celery_config")
