"""Every question of every dashboard can be asked of the views, by the role that dashboards have."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
import pytest

from sensus import times
from sensus.runtime.postgres import EmbeddedPostgres
from tests.dashboards import boards, questions, sql, variables
from tests.servers import PrivateServers


@pytest.fixture
def reader(servers: PrivateServers, database_url: str) -> psycopg.Connection:
    server = servers.postgres.server
    assert isinstance(server, EmbeddedPostgres)
    url = server.reporting_url.rsplit("/", 1)[0] + urlsplit(database_url).path
    return psycopg.connect(url, autocommit=True)


def test_every_statement_of_a_panel_is_answered(reader: psycopg.Connection) -> None:
    until = times.now()
    asked = [question for question in questions() if question.is_sql]
    assert len(asked) > 20
    with reader:
        for question in asked:
            text = sql(question.text, since=until - timedelta(days=1), until=until, series=1)
            answer = reader.execute(text)
            assert answer.description is not None
            columns = [column.name for column in answer.description]
            assert (columns[0] == "time") == question.over_time, question


def test_every_choice_is_answered(reader: psycopg.Connection) -> None:
    asked = [
        variable["query"]
        for board in boards().values()
        for variable in variables(board).values()
        if variable.get("datasource", {}).get("uid") == "${database}"
    ]
    assert asked
    with reader:
        for text in asked:
            answer = reader.execute(text)
            assert answer.description is not None
            assert [column.name for column in answer.description] == ["__text", "__value"]
