"""Moves audit entries from the outbox to Redis: in order, all of them, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db.queries import outbox
from db.session import Database
from sensus.audit import Entry
from sensus.errors import Unavailable

Append = Callable[[str, int, Sequence[Entry]], None]
BATCH_ENTRIES = 500
# Any number that nobody else uses as an advisory lock in this database.
_LOCK = 7_310_442_116
_LOCK_WAIT = "5s"


def relay(database: Database, append: Append) -> int:
    """Append what waits, batch by batch; how many entries went out.

    A batch is numbered and committed before it goes out, and removed after. Whoever dies in between leaves a
    numbered batch, which the next relay sends again under the same number, and `append` ignores a number it has
    seen. What `append` raises, this raises; the batch stays.
    """
    moved = 0
    with _alone(database):
        while True:
            with database.transaction() as session:
                installation = str(outbox.installation(session))
                batch = outbox.open_batch(session)
                resumed = batch is not None
                if batch is None:
                    batch = outbox.form_batch(session, BATCH_ENTRIES)
                rows = outbox.entries(session, batch) if batch is not None else []
            if batch is None:
                return moved
            append(installation, batch, rows)
            with database.transaction() as session:
                outbox.remove(session, batch)
            moved += len(rows)
            if len(rows) < BATCH_ENTRIES and not resumed:
                # Only what came meanwhile is left. Whoever left it there relays it; going on here
                # would hold the lock for as long as senders are busy.
                return moved


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """The right to append; PostgreSQL takes it back when this process dies."""
    try:
        with database.unpooled.engine.connect() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            try:
                yield connection
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()
    except DBAPIError as error:
        raise Unavailable("the audit relay could not get at the database, or another one is busy") from error
