"""What an installation had before an upgrade is worked on after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from sqlalchemy import text

from db.cli import _config
from db.queries import unfinished, ungrouped
from db.session import Database
from tests.servers import PrivateServers


@contextmanager
def installed(servers: PrivateServers, release: str) -> Iterator[Database]:
    """A database of its own with the tables of an older release."""
    url = servers.new_database()
    database = Database(url, statement_timeout_ms=0)
    try:
        upgrade(database, release)
        yield database
    finally:
        database.close()
        servers.drop_database(url)


def upgrade(database: Database, release: str) -> None:
    with database.engine.connect() as connection:
        command.upgrade(_config(connection), release)


def test_alerts_that_fire_when_incidents_come_are_still_to_be_taken_in(servers: PrivateServers) -> None:
    with installed(servers, "0006") as database:
        with database.transaction() as session:
            for name, status in (("Over", "resolved"), ("Fires", "firing"), ("AlsoOver", "resolved")):
                session.execute(
                    text(
                        """
                        WITH made AS (
                            INSERT INTO alerts (fingerprint, alert_name, labels, annotations, starts_at, status, extra)
                            VALUES (:name, :name, '{}', '{}', now(), :status, '{}') RETURNING id
                        )
                        INSERT INTO alert_history (alert_id, change)
                        SELECT id, change FROM made, unnest(CAST(:changes AS text[])) AS change
                        """
                    ),
                    {
                        "name": name,
                        "status": status,
                        "changes": ["firing", "resolved"] if status == "resolved" else ["firing"],
                    },
                )
        upgrade(database, "head")
        with database.transaction() as session:
            waiting = ungrouped.changes(session, limit=10)
            ungrouped.take_changes(session, [change.id for change in waiting])
        assert [(change.alert_id, change.change) for change in waiting] == [(2, "firing")]
        with database.transaction() as session:
            assert ungrouped.changes(session, limit=10) == []


def test_what_is_there_when_outbreaks_and_waiting_are_told_has_been_so_since_it_began_or_since_then(
    servers: PrivateServers,
) -> None:
    with installed(servers, "0017") as database:
        with database.transaction() as session:
            session.execute(
                text(
                    "INSERT INTO incidents (title, labels, opened_at, last_activity_at, reopened)"
                    " SELECT 'one', '{}', now() - interval '1 day', now(), n FROM generate_series(0, 1) AS n"
                )
            )
            session.execute(text("INSERT INTO series (metric_name, labels, digest) VALUES ('m', '{}', '')"))
            session.execute(text("INSERT INTO series_progress SELECT id, now() - interval '1 day' FROM series"))
        upgrade(database, "head")
        with database.transaction() as session:
            assert session.scalar(text("SELECT bool_and(active_since = opened_at) FROM incidents")) is True
            waiting = unfinished.waiting(session)["series"]
            assert waiting.count == 1
            assert waiting.oldest_s < 600
