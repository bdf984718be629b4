"""Statements on the path of every request, run by psycopg itself: SQLAlchemy's layers cost more than they do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from sensus import metrics


def execute(session: Session, statement: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[TupleRow]:
    """Run a statement in the transaction of a session, prepared at its first use on a connection.

    Parameters are `%(name)s` as psycopg takes them.  Raises what SQLAlchemy would raise: DBAPIError and its kinds.
    """
    connection = session.connection()
    direct = cast("psycopg.Connection[TupleRow]", connection.connection.driver_connection)
    began = time.perf_counter()
    try:
        cursor = direct.execute(statement, parameters, prepare=True)
    except psycopg.Error as error:
        if direct.broken:
            # The other connections were made to the same server, and are as dead as this one.
            connection.invalidate(error)
            connection.engine.dispose(close=False)
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=direct.broken
        ) from error
    metrics.db_query_duration.labels("direct").observe(time.perf_counter() - began)
    return cursor
