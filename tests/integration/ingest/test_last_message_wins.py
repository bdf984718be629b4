"""Any sequence of messages ends in the state of the last one, with a history that leads there."""

from __future__ import annotations

from itertools import count, groupby

from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Alert, AlertHistory
from tests.factories import alert

STATES = st.sampled_from(["firing", "resolved"])
_instances = count()


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(webhooks=st.lists(st.lists(STATES, min_size=1, max_size=4), min_size=1, max_size=6))
def test_the_last_message_wins_and_the_history_is_consistent(
    writer: FlaskClient, session: Session, webhooks: list[list[str]]
) -> None:
    labels = {"number": str(next(_instances))}
    for states in webhooks:
        answer = writer.post("/api/v1/alerts", json=[alert(status=state, labels=labels) for state in states])
        assert answer.status_code == 202
    told = [state for states in webhooks for state in states]
    session.expire_all()
    row = session.scalars(select(Alert).where(Alert.labels["number"].astext == labels["number"])).one()
    assert row.status == told[-1]
    assert (row.ends_at is None) == (told[-1] == "firing")
    assert row.times_received == len(told)
    runs = [state for state, _ in groupby(told)]
    expected = [runs[0], *("reopened" if state == "firing" else state for state in runs[1:])]
    history = select(AlertHistory.change).where(AlertHistory.alert_id == row.id).order_by(AlertHistory.id)
    assert list(session.scalars(history)) == expected
