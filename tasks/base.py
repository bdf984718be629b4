"""What every task has: the resources of its process, transactions, and tries again when that can help."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager
from typing import Any

import redis.exceptions
from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError as BrokerAway
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.session import Database
from sensus import logs
from sensus.errors import Unavailable
from sensus.settings import Settings
from tasks.resources import Resources, resources

log = logs.get_logger(__name__)

MOST_RETRIES = 6
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
# 40001: serialization failure, 40P01: deadlock, 55P03: lock not available, 57014: a statement ran out of time.
_PASSING_STATES = frozenset({"40001", "40P01", "55P03", "57014"})
_PASSING = (Unavailable, BrokerAway, ConnectionError, TimeoutError, redis.exceptions.ConnectionError)


class SensusTask(Task[Any, Any]):
    """A task of ours: it takes ids as keywords, claims its rows, and may safely run twice."""

    abstract = True
    max_retries = MOST_RETRIES

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except (Retry, Reject, Ignore):
            raise
        except Exception as error:
            if not may_pass(error):
                raise
            wait_s = pause_s(self.request.retries)
            log.warning("task_tried_again", error=type(error).__name__, in_s=round(wait_s, 1))
            # The header goes along by hand: a message sent again carries only what is said here.
            raise self.retry(
                exc=error,
                countdown=wait_s,
                headers={"request_id": logs.bound_request_id() or logs.new_request_id()},
            ) from error

    @property
    def resources(self) -> Resources:
        """What this process has open."""
        return resources()

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return self.resources.settings

    @property
    def database(self) -> Database:
        """The database of this process."""
        return self.resources.database

    @property
    def holder(self) -> str | None:
        """The name of this worker in its claims; None outside a worker."""
        return self.request.hostname

    def transaction(self) -> AbstractContextManager[Session]:
        """A session in one transaction, committed at the end of the block."""
        return self.database.transaction()


def may_pass(error: Exception) -> bool:
    """Whether the same task may fare better in a while."""
    if isinstance(error, _PASSING):
        return True
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) in _PASSING_STATES
    return getattr(error, "permanent", None) is False


def pause_s(retries: int) -> float:
    """How long to wait before the next try: doubled each time, capped, and spread so that not all come at once."""
    # Some tasks are tried for a day, and the power of so many tries is no float.
    longest = min(_FIRST_PAUSE_S * 2.0 ** min(retries, 64), _LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)
