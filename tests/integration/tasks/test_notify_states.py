"""Whatever workers do in whatever order, a notification is sent by one at a time, ends once, and in its order."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import Incident, IncidentHistory, Notification
from db.queries import leases, notifications
from db.queries.notifications import NotificationClaim
from db.session import Database
from sensus import times
from tests.integration.tasks.made import add_alert, of_incident

STATES = 3


def test_no_order_of_workers_sends_at_once_or_ends_twice(database: Database, session: Session) -> None:
    class Workers(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            session.execute(text("DELETE FROM incidents"))
            session.execute(text("DELETE FROM alerts"))
            alert = add_alert(session, fingerprint="x")
            ids = [of_incident(session, alert, state=state) for state in range(1, STATES + 1)]
            for _ in range(2):  # whatever is asked for twice is there once
                with database.transaction() as mine:
                    notifications.add(mine, ids, targets=["json"], lasts=timedelta())
            self.claims: list[NotificationClaim] = []
            self.held: NotificationClaim | None = None  # its lease has not ended
            self.sent: list[int] = []  # states

        def rows(self) -> list[Notification]:
            session.expire_all()
            return list(session.scalars(select(Notification).order_by(Notification.incident_state)))

        @rule()
        def claim(self) -> None:
            session.execute(update(Notification).values(next_try_at=times.now() - timedelta(seconds=1)))
            with database.transaction() as mine:
                claimed = notifications.claim(
                    mine,
                    "json",
                    lasts=timedelta(),
                    rest=timedelta(),
                    lease=timedelta(minutes=1),
                    holder="maintenance@here",
                )
            waiting = [row.incident_state for row in self.rows() if row.status == "waiting"]
            if claimed is None:
                assert self.held is not None or not waiting
                return
            assert self.held is None, "somebody has it"
            assert claimed.incident_state == min(waiting), "an earlier state goes first"
            assert all(claimed.attempt > each.attempt for each in self.claims if each.id == claimed.id)
            self.held = claimed
            self.claims.append(claimed)

        @precondition(lambda self: self.held is not None)
        @rule()
        def lease_ends(self) -> None:
            session.execute(update(Notification).values(lease_until=times.now() - timedelta(seconds=1)))
            self.held = None

        @rule(orderly=st.booleans())
        def worker_stops_or_dies(self, orderly: bool) -> None:
            with database.transaction() as mine:
                leases.release(mine, "maintenance@elsewhere", blameless=orderly)
                leases.release(mine, "maintenance@here", blameless=orderly)
            self.held = None

        @precondition(lambda self: self.claims)
        @rule(data=st.data(), arrived=st.booleans())
        def end(self, data: st.DataObject, arrived: bool) -> None:
            claimed = data.draw(st.sampled_from(self.claims))
            newest = max(each.attempt for each in self.claims if each.id == claimed.id)
            with database.transaction() as mine:
                if arrived:
                    kept = notifications.sent(mine, claimed, at=times.now(), request_id="r")
                else:
                    kept = notifications.not_sent(mine, claimed, error="away", pause=timedelta(), is_last=False)
            assert kept == (claimed.attempt == newest and claimed.incident_state not in self.sent)
            if kept and arrived:
                self.sent.append(claimed.incident_state)
            if kept and self.held is not None and self.held.id == claimed.id:
                self.held = None

        @invariant()
        def what_is_sent_stays_and_stands_in_the_timeline_once(self) -> None:
            rows = self.rows()
            assert [row.incident_state for row in rows] == list(range(1, STATES + 1))
            assert [row.incident_state for row in rows if row.status == "sent"] == sorted(self.sent)
            assert self.sent == sorted(self.sent)
            query = select(IncidentHistory).join(Incident).where(IncidentHistory.change == "notified")
            told = session.scalars(query.order_by(IncidentHistory.id))
            assert [entry.facts["state"] for entry in told] == self.sent

    run_state_machine_as_test(
        Workers,
        settings=hypothesis_settings(
            max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
