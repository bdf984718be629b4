"""Is a process ready?  Asked from outside, as those will who depend on it.

Containers ask every few seconds for ever, in a process of its own each time. So what not every question needs is
imported by the question that does.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from pathlib import Path

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised here, not bound.
_TIMEOUT_S = 2.0
# In the data folder; beat touches it each time it looks at its schedule, which is each few seconds.
PULSE_FILE = "beat-pulse"
_PULSE_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Http:
    """Whether a GET answers 200 in time."""

    host: str
    port: int
    path: str

    def __call__(self) -> bool:
        """Ask."""
        connection = http.client.HTTPConnection(_EVERYWHERE.get(self.host, self.host), self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Pulse:
    """Whether beat has looked at its schedule lately."""

    path: Path

    def __call__(self) -> bool:
        """Look."""
        try:
            return time.time() - self.path.stat().st_mtime < _PULSE_FRESH_S
        except OSError:
            return False


def redis_answers(redis_url: str) -> bool:
    """Whether Redis answers in time: without it nobody can tell whether a worker would."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis.from_url(
        redis_url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def worker_answers(redis_url: str, node: str) -> bool:
    """Whether the Celery worker of this name answers a ping."""
    from celery import Celery

    app = Celery(broker=redis_url, set_as_current=False)
    app.conf.broker_transport_options = {
        "socket_connect_timeout": _TIMEOUT_S,
        "socket_timeout": _TIMEOUT_S,
        "max_retries": 0,
    }
    try:
        return bool(app.control.ping(destination=[node], timeout=1.0))
    except Exception:
        return False  # Whatever kombu or redis raise, the worker has not answered.
    finally:
        app.close()
