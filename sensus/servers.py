"""Do the database and the Redis of the settings answer, and if not, why?  In one line that names the setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sensus import settings
from sensus.errors import ConfigurationError

PATIENCE_S = 10
# What a ping raises; ValueError for what is no address.
FAILURES = (psycopg.Error, redis.RedisError, ValueError)

_MISSPELT = "the address is not written as it must be"
# Neither libpq nor redis-py gives a connection that failed a code, so it is known by what they say.
_REASONS = (
    (r"password authentication failed|wrongpass|invalid username-password|invalid password", "the password is refused"),
    (r"no password supplied|authentication required|client already authenticated|noauth", "a password is missing"),
    (r"role .* does not exist", "the user is unknown"),
    (r"database .* does not exist", "there is no such database"),
    (r"resolve host|translate host name|name or service not known|name resolution", "the host is unknown"),
    (r"connection refused|no such file or directory", "nobody listens there"),
    (r"timeout|timed out", "no answer"),
    (r"invalid (integer value|port)", _MISSPELT),
    (r"too many clients|connection slots|max number of clients", "all its connections are taken"),
    (r"starting up|shutting down|loading the dataset", "the server is starting or stopping"),
)
# Of SQL: connection exceptions, refused logins, databases that aren't there, servers that stop, too many connections.
_STATES = ("08", "28", "3D", "57P", "53300")


def ping_database(url: str, *, timeout_s: int = PATIENCE_S) -> str:
    """The version of the PostgreSQL at an address.  Raises one of FAILURES."""
    with psycopg.connect(settings.plain_url(url), connect_timeout=timeout_s) as connection:
        return f"PostgreSQL {connection.info.parameter_status('server_version')}"


def ping_redis(url: str, *, timeout_s: float = PATIENCE_S) -> str:
    """Whether the Redis at an address answers.  Raises one of FAILURES."""
    once = Retry(NoBackoff(), retries=0)
    with redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=once) as client:
        client.ping()
    return "answers"


def require(current: settings.Settings) -> None:
    """Return when each server that the settings name answers.  Raises ConfigurationError for the first that doesn't."""
    for name, ping in _named(current):
        try:
            ping()
        except FAILURES as error:
            raise ConfigurationError(why(name, error)) from error


def why(name: str, error: BaseException) -> str:
    """Why the server of this name can't be used, whose ping raised one of FAILURES."""
    # What is wrong with an address is told with parts of it, of which the password may be one.
    is_understood = not isinstance(error, psycopg.ProgrammingError | ValueError)
    return f"{name}: {_reason(str(error)) if is_understood else _MISSPELT}"


def cause(error: BaseException) -> str | None:
    """Why an error came that the absence of a server caused; None for any other error."""
    for each in _chain(error):
        if isinstance(each, redis.ConnectionError | redis.TimeoutError):
            return why(name_of_redis(settings.load()), each)
        if _is_refused_or_away(each):
            return why(name_of_database(settings.load()), each)
    return None


def name_of_database(read: settings.Settings) -> str:
    """The setting that leads there, if one does."""
    if read.database_direct_url is not None:
        return "SENSUS_DATABASE_DIRECT_URL"
    return "the database" if read.database_url is None else "SENSUS_DATABASE_URL"


def name_of_redis(read: settings.Settings) -> str:
    """The setting that leads there, if one does."""
    return "Redis" if read.redis_url is None else "SENSUS_REDIS_URL"


def _named(current: settings.Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    if current.database_url is not None:
        yield "SENSUS_DATABASE_URL", lambda: ping_database(current.require_database_url())
    if (direct := current.direct_url()) is not None:
        yield "SENSUS_DATABASE_DIRECT_URL", lambda: ping_database(direct)
    if current.redis_url is not None:
        yield "SENSUS_REDIS_URL", lambda: ping_redis(current.require_redis_url())


def _is_refused_or_away(error: BaseException) -> bool:
    # Also a statement that took too long, or met a deadlock, is an OperationalError; these have a code.
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_STATES)


def _reason(said: str) -> str:
    for pattern, reason in _REASONS:
        if re.search(pattern, said, re.IGNORECASE):
            return reason
    return next(iter(said.splitlines()), "") or "it does not answer"


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__
