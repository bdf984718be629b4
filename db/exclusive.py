"""Is this the only process that does a kind of work?  A lock for longer than a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from db.session import Database
from sensus.errors import Unavailable

# Training, evaluation and house-keeping: whatever may take minutes.
LONG_WORK = 0x53656E73_0004
# Telling the Alertmanager of anomalies.
ANOMALY_ALERTS = 0x53656E73_0020
# Alerts join incidents one after the other: two at once would open two incidents for one cause.
GROUPING = 0x53656E73_0007
# The folder of runbooks is read by one worker, that two versions of a file never mix.
RUNBOOKS = 0x53656E73_0006
# Notifications are sent by one process: a target that hangs must not hold up one after the other.
NOTIFYING = 0x53656E73_0009


@contextmanager
def alone(database: Database, work: int) -> Iterator[bool]:
    """Whether nobody else does this work; if so, nobody will until the end of the block.

    PostgreSQL lets go of the lock of a process that dies. It costs a connection for the time of the block.
    Raises Unavailable when the database is away.
    """
    try:
        opened = database.unpooled.engine.connect()
    except DBAPIError as error:
        raise Unavailable("the database is away; try again shortly") from error
    with opened.execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_alone = bool(connection.scalar(select(func.pg_try_advisory_lock(work))))
        try:
            yield is_alone
        finally:
            if is_alone:
                try:
                    connection.execute(select(func.pg_advisory_unlock(work)))
                except DBAPIError:
                    connection.invalidate()  # The lock went with the connection.
