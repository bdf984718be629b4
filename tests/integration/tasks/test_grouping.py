"""Alerts and anomalies become incidents in PostgreSQL, each once, and only what changes is asked about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from db import exclusive
from db.models import (
    Alert,
    AlertHistory,
    AnalysisResult,
    GroupingPosition,
    Incident,
    IncidentAlert,
    IncidentAnomaly,
    IncidentHistory,
    LateChange,
    TopologyEdge,
)
from db.queries import incident_evidence, ungrouped
from db.queries import incidents as incidents_queries
from db.session import Database
from sensus import times
from sensus.settings import Settings
from tests.factories import alert as message
from tests.factories import alertmanager_webhook
from tests.integration.tasks.conftest import Sent
from tests.storms.judged import judge
from tests.storms.made import Profile, as_message, storm
from tests.storms.replayed import truth

Post = Callable[..., list[int]]


@pytest.fixture
def post(writer: FlaskClient, sent: Sent) -> Post:
    """Sends alerts as Alertmanager does: `post(message("A"), message("B"))`; their ids."""

    def send(*alerts: dict[str, Any], group_key: str | None = None) -> list[int]:
        webhook = alertmanager_webhook(list(alerts), **({} if group_key is None else {"groupKey": group_key}))
        answer = writer.post("/api/v1/alerts", json=webhook)
        assert answer.status_code == 202, answer.text
        return list(answer.get_json()["alert_ids"])

    return send


def group() -> None:
    from tasks.grouping import group as task

    task()


def settle(session: Session) -> None:
    """As if the settling time of every incident were over."""
    earlier = times.now() - timedelta(hours=1)
    session.execute(update(Incident).values(changed_at=earlier, state_since=earlier))


def incidents(session: Session) -> list[Incident]:
    session.expire_all()
    return list(session.scalars(select(Incident).where(Incident.merged_into.is_(None)).order_by(Incident.id)))


def of(session: Session, alert_id: int) -> int:
    return session.scalars(select(IncidentAlert.incident_id).where(IncidentAlert.alert_id == alert_id)).one()


def timeline(session: Session, incident_id: int) -> list[str]:
    rows = select(IncidentHistory.change).where(IncidentHistory.incident_id == incident_id).order_by(IncidentHistory.id)
    return list(session.scalars(rows))


def ago(minutes: float) -> datetime:
    return times.now().replace(microsecond=0) - timedelta(minutes=minutes)


def firing(name: str, *, minutes: float = 5, **labels: str) -> dict[str, Any]:
    return message(name, starts_at=ago(minutes), labels={"instance": "", **labels})


def resolved(told: dict[str, Any], *, minutes: float = 1) -> dict[str, Any]:
    return {**told, "status": "resolved", "endsAt": times.isoformat(ago(minutes))}


def test_alerts_of_one_service_open_one_incident_with_a_timeline(post: Post, session: Session) -> None:
    first, second, other = post(
        firing("HighLatency", service="checkout", severity="warning"),
        firing("HighErrorRate", minutes=4, service="checkout", severity="critical"),
        firing("DiskFull", minutes=30, service="backup", severity="info"),
    )
    group()
    assert of(session, first) == of(session, second) != of(session, other)
    incident = session.get_one(Incident, of(session, first))
    assert incident.title == "HighErrorRate on checkout", "the worst of its alerts gives it its name"
    assert (incident.status, incident.severity, incident.state) == ("open", "critical", 1)
    assert incident.services == ["checkout"]
    assert incident.alert_names == ["HighLatency", "HighErrorRate"]
    assert incident.labels["service"] == "checkout"
    assert "severity" not in incident.labels, "only what all have in common"
    assert timeline(session, incident.id) == ["opened", "alert_joined", "alert_joined"]
    assert ungrouped.changes(session, limit=5) == []


def test_a_message_that_comes_twice_changes_nothing(post: Post, session: Session) -> None:
    told = firing("HighLatency", service="checkout")
    # On a slow machine the incident has settled meanwhile, and is being analysed.
    entries = select(func.count(IncidentHistory.id)).where(IncidentHistory.change != "analysed")
    post(told)
    group()
    before = session.scalar(entries)
    group()
    post(told)
    group()
    assert session.scalar(entries) == before
    assert [incident.state for incident in incidents(session)] == [1]


def test_only_one_worker_groups_at_a_time(post: Post, database: Database, session: Session) -> None:
    post(firing("HighLatency", service="checkout"))
    with exclusive.alone(database, exclusive.GROUPING) as is_alone:
        assert is_alone
        group()
    assert incidents(session) == []
    group()
    assert len(incidents(session)) == 1


def test_a_state_is_analysed_once_and_only_what_is_new_makes_another(post: Post, sent: Sent, session: Session) -> None:
    def asked() -> list[tuple[int | None, int | None]]:
        group()
        settle(session)
        group()
        rows = select(AnalysisResult).where(AnalysisResult.incident_id.is_not(None)).order_by(AnalysisResult.id)
        return [(row.incident_id, row.incident_state) for row in session.scalars(rows)]

    told = firing("HighLatency", service="checkout", pod="checkout-0")
    (first,) = post(told)
    group()
    assert session.scalar(select(func.count(AnalysisResult.id)).where(AnalysisResult.incident_id.is_not(None))) == 0, (
        "it has not settled"
    )
    incident = of(session, first)
    assert asked() == [(incident, 1)]
    assert len(sent.of("analyse")) == 1
    post(told)  # a repeat
    post(firing("HighLatency", minutes=3, service="checkout", pod="checkout-1"))  # one more of a kind
    assert asked() == [(incident, 1)]
    post(firing("HighErrorRate", minutes=3, service="checkout"))
    assert asked() == [(incident, 1), (incident, 2)]
    assert session.get_one(Incident, incident, populate_existing=True).state == 2
    assert len(sent.of("analyse")) == 2


def test_an_incident_that_flapped_for_months_is_asked_about_and_holds_up_no_other(
    post: Post, sent: Sent, session: Session
) -> None:
    old, new = post(firing("Flaps", service="checkout"), firing("DiskFull", minutes=30, service="backup"))
    group()
    session.execute(update(Incident).where(Incident.id == of(session, old)).values(state=5_000, analysed_state=4_999))
    group()
    earlier = times.now() - timedelta(days=30)
    session.execute(update(Incident).values(changed_at=earlier, state_since=earlier))
    group()
    rows = session.execute(select(AnalysisResult.incident_id, AnalysisResult.incident_state))
    asked = {row.incident_id: row.incident_state for row in rows if row.incident_id is not None}
    assert asked == {of(session, old): 5_000, of(session, new): 1}


def test_what_comes_before_a_state_is_analysed_belongs_to_it(post: Post, session: Session) -> None:
    for name in ("A", "B", "C"):
        post(firing(name, service="checkout"))
        group()
    assert [incident.state for incident in incidents(session)] == [1]


def test_an_incident_is_over_when_nothing_of_it_fires_and_open_again_when_something_does(
    post: Post, session: Session
) -> None:
    one, two = (firing(name, minutes=20, service="checkout") for name in ("A", "B"))
    (alert_id, _) = post(one, two)
    group()
    post(resolved(one, minutes=9))
    group()
    incident = session.get_one(Incident, of(session, alert_id), populate_existing=True)
    assert incident.status == "open"
    post(resolved(two, minutes=8))
    group()
    session.refresh(incident)
    assert (incident.status, incident.resolved_at) == ("resolved", times.parse(resolved(two, minutes=8)["endsAt"]))
    (again,) = post(firing("A", minutes=1, service="checkout"))
    group()
    session.refresh(incident)
    assert of(session, again) == incident.id
    assert (incident.status, incident.reopened, incident.resolved_at) == ("open", 1, None)
    changes = timeline(session, incident.id)
    assert [change for change in changes if change in ("resolved", "reopened")] == ["resolved", "reopened"]


def test_a_reopening_is_a_new_state_but_flapping_is_none(post: Post, session: Session) -> None:
    told = firing("A", minutes=50, service="checkout")
    (alert_id,) = post(told)
    group()
    settle(session)
    group()
    post(resolved(told, minutes=40))
    group()
    again = firing("A", minutes=1, service="checkout")
    post(again)
    group()
    incident = session.get_one(Incident, of(session, alert_id), populate_existing=True)
    assert (incident.state, incident.reopened) == (2, 1)
    began = times.parse(again["startsAt"])
    assert incident.opened_at < incident.active_since == began
    settle(session)
    group()
    post(resolved(again, minutes=0.1))
    group()
    post(firing("A", minutes=0, service="checkout"))
    group()
    session.refresh(incident)
    assert (incident.state, incident.reopened) == (2, 2)
    assert incident.active_since == began
    # Heard of late, and the first of this outbreak.
    earlier = firing("B", minutes=2, service="checkout")
    post(earlier)
    group()
    session.refresh(incident)
    assert incident.active_since == times.parse(earlier["startsAt"])


def test_what_an_outbreak_consists_of_is_what_was_not_over_before_it(
    post: Post, database: Database, session: Session
) -> None:
    told, other = (firing(name, minutes=50, service="checkout") for name in ("A", "B"))
    first, second = post(told, other)
    group()
    post(resolved(told, minutes=40), resolved(other, minutes=40))
    group()
    (again,) = post(firing("A", minutes=1, service="checkout"))
    group()
    incident = of(session, first)

    def outbreak(about: int | None) -> tuple[int | None, list[int], int, bool]:
        with database.transaction() as looking:
            found = incident_evidence.of_incident(looking, incident, about=about)
            assert found is not None
            is_first = found.since == found.incident.opened_at
            return found.lead and found.lead.id, [alert.id for alert in found.alerts], found.count, is_first

    assert outbreak(None) == (again, [again], 1, False)
    assert outbreak(again) == (again, [again], 1, False)
    assert outbreak(first) == (first, [*sorted((first, second)), again], 3, True)


def test_two_outbreaks_that_are_one_began_with_the_earlier(database: Database, session: Session) -> None:
    now = times.now()
    into, gone, over = (
        Incident(title="t", opened_at=now - timedelta(days=1), last_activity_at=now, reopened=1, active_since=at)
        for at in (now - timedelta(minutes=2), now - timedelta(minutes=3), now - timedelta(minutes=60))
    )
    over.status = "resolved"
    session.add_all((into, gone, over))
    session.flush()
    with database.transaction() as merging:
        incidents_queries.merge(merging, over.id, into.id)
        incidents_queries.merge(merging, gone.id, into.id)
    session.refresh(into)
    assert into.active_since == gone.active_since


def test_what_arrives_over_opens_no_question(post: Post, session: Session) -> None:
    post(resolved(firing("A", service="checkout")))
    group()
    settle(session)
    group()
    assert [incident.status for incident in incidents(session)] == ["resolved"]
    assert session.scalar(select(func.count(AnalysisResult.id))) == 0


def test_calls_that_are_known_hold_an_incident_together(post: Post, writer: FlaskClient, session: Session) -> None:
    edges = [["frontend", "checkout"], {"caller": "checkout", "callee": "orders-db"}]
    assert writer.post("/api/v1/topology", json={"edges": edges}).get_json()["created"] == 2
    ids = post(
        firing("ConnectionsExhausted", minutes=10, service="orders-db"),
        firing("HighErrorRate", minutes=9, service="checkout"),
        firing("SloBurn", minutes=8, service="frontend"),
        firing("HighErrorRate", minutes=9, service="search"),
    )
    group()
    assert len({of(session, each) for each in ids[:3]}) == 1
    assert of(session, ids[3]) != of(session, ids[0])


def test_two_incidents_that_turn_out_to_be_one_are_merged(post: Post, writer: FlaskClient, session: Session) -> None:
    writer.post("/api/v1/topology", json=[["cart", "kafka"], ["mailer", "kafka"]])
    cart, mailer = post(firing("Lag", minutes=4.5, service="cart"), firing("Slow", minutes=4.4, service="mailer"))
    group()
    first, gone = of(session, cart), of(session, mailer)
    assert first != gone
    down = message(
        "BrokerDown",
        starts_at=ago(5),
        labels={"instance": "", "service": "kafka"},
        annotations={"summary": "cart and mailer wait for it"},
    )
    (kafka,) = post(down)
    group()
    assert {of(session, each) for each in (cart, mailer, kafka)} == {first}
    left = session.get_one(Incident, gone, populate_existing=True)
    assert (left.status, left.merged_into) == ("resolved", first)
    assert "merged" in timeline(session, first)
    assert "merged" in timeline(session, gone)
    told = writer.get("/api/v1/incidents").get_json()["items"]
    assert [incident["id"] for incident in told] == [first]
    assert writer.get(f"/api/v1/incidents/{gone}").get_json()["merged_into"] == first


def test_one_odd_alert_costs_its_neighbours_nothing(
    post: Post, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import joining

    real = joining.picture

    def picture(member: Any) -> Any:
        if member.name == "Odd":
            raise RecursionError("too deep")
        return real(member)

    monkeypatch.setattr(joining, "picture", picture)
    ids = post(firing("Good", service="a"), firing("Odd", service="b"), firing("Fine", service="c"))
    group()
    grouped = set(session.scalars(select(IncidentAlert.alert_id)))
    assert grouped == {ids[0], ids[2]}
    group()
    assert ungrouped.changes(session, limit=5) == []


def test_an_alert_that_went_with_the_retention_holds_up_nothing(post: Post, session: Session) -> None:
    (gone, _) = post(firing("Gone", service="a"), firing("Fine", service="b"))
    session.execute(text("ALTER TABLE alert_history DROP CONSTRAINT fk_alert_history_alert_id_alerts"))
    session.execute(text("DELETE FROM alerts WHERE id = :id"), {"id": gone})
    group()
    assert len(incidents(session)) == 1


def anomaly(session: Session, name: str, *, minutes: float = 2, **labels: str) -> int:
    from tests.integration.read.rows import add_anomaly, add_series

    return add_anomaly(session, add_series(session, name, **labels), ago(minutes)).id


def test_an_anomaly_joins_the_incident_of_its_service(post: Post, session: Session) -> None:
    (alert_id,) = post(firing("HighLatency", service="checkout"))
    ours, theirs = anomaly(session, "latency", service="checkout"), anomaly(session, "latency", service="mail")
    group()
    rows = session.execute(select(IncidentAnomaly.result_id, IncidentAnomaly.incident_id)).all()
    assert [tuple(row) for row in rows] == [(ours, of(session, alert_id))]
    assert session.get_one(AnalysisResult, theirs, populate_existing=True).grouped is False, "an alert may still come"
    assert [incident.state for incident in incidents(session)] == [1], "a metric more is no new state"


def test_an_anomaly_that_came_first_joins_when_its_alert_comes(post: Post, session: Session) -> None:
    first = anomaly(session, "latency", minutes=6, service="checkout")
    group()
    assert incidents(session) == []
    (alert_id,) = post(firing("HighLatency", service="checkout"))
    group()
    assert session.get_one(IncidentAnomaly, first).incident_id == of(session, alert_id)


def test_several_series_of_one_place_make_an_incident_that_no_alert_told_of(post: Post, session: Session) -> None:
    for name in ("latency", "errors"):
        anomaly(session, name, service="checkout")
    group()
    assert incidents(session) == []
    anomaly(session, "cpu", service="checkout")
    group()
    (incident,) = incidents(session)
    assert (incident.status, incident.title) == ("open", "unusual latency on checkout")
    session.execute(update(AnalysisResult).values(sample_at=ago(40)))
    session.execute(update(IncidentAnomaly).values(joined_at=ago(40)))
    group()
    assert [incident.status for incident in incidents(session)] == ["resolved"]


def test_anomalies_of_a_history_that_is_brought_in_open_nothing(post: Post, session: Session) -> None:
    old = [anomaly(session, name, minutes=600, service="checkout") for name in ("latency", "errors", "cpu")]
    group()
    assert incidents(session) == []
    assert all(session.get_one(AnalysisResult, each, populate_existing=True).grouped for each in old)


@pytest.mark.parametrize("with_topology", [True, False])
def test_a_storm_of_300_alerts_is_put_together_in_the_database_too(
    writer: FlaskClient, sent: Sent, session: Session, change: Callable[..., None], with_topology: bool
) -> None:
    change(incident_settle_s=600.0)  # no incident settles on a machine that is slow in the middle of the storm
    made = storm(41, Profile(labelling="mixed", topology=float(with_topology)))
    if made.calls:
        edges = [*made.calls, *({"caller": one, "callee": host, "kind": "runs_on"} for one, host in made.runs_on)]
        assert writer.post("/api/v1/topology", json={"edges": edges}).status_code == 202
    shift = times.now() - max(alert.starts_at for alert in made.alerts)
    ids: list[int] = []
    for place, alert in enumerate(made.alerts):
        told = as_message(alert)
        told["startsAt"] = times.isoformat(alert.starts_at + shift)
        webhook = alertmanager_webhook([told], groupKey=alert.group_key)
        ids += writer.post("/api/v1/alerts", json=webhook).get_json()["alert_ids"]
        if place % 50 == 49:
            group()
    group()
    settle(session)
    group()
    found = dict(session.execute(select(IncidentAlert.alert_id, IncidentAlert.incident_id)).all())
    judgement = judge(truth(made), [found[each] for each in ids])
    assert judgement.precision >= 0.90, judgement
    assert judgement.recall >= 0.90, judgement
    states = session.execute(
        select(AnalysisResult.incident_id, AnalysisResult.incident_state).where(AnalysisResult.incident_id.is_not(None))
    ).all()
    assert len(states) == len(set(states)) == len({row.incident_id for row in states})


def test_series_and_traces_teach_who_calls_whom(sent: Sent, session: Session, writer: FlaskClient) -> None:
    from tasks.topology import learn

    sample = {"metric_value": 1, "timestamp": times.isoformat(times.now())}
    traces = {"metric_name": "traces_service_graph_request_total", "labels": {"client": "web", "server": "api"}}
    mesh = {"metric_name": "istio_requests_total", "labels": {"source_app": "api", "destination_app": "db"}}
    pods = {"metric_name": "kube_pod_info", "labels": {"pod": "api-0", "node": "node-7"}}
    assert writer.post("/api/v1/metrics", json=[{**one, **sample} for one in (traces, mesh, pods)]).status_code == 202
    for _ in range(2):
        learn()
    told = writer.get("/api/v1/topology").get_json()["items"]
    assert [(edge["caller"], edge["callee"], edge["kind"], edge["source"]) for edge in told] == [
        ("api", "db", "calls", "labels"),
        ("api", "node-7", "runs_on", "labels"),
        ("web", "api", "calls", "traces"),
    ]
    assert all(edge["first_seen"] and edge["last_seen"] for edge in told)


def test_what_nobody_saw_for_long_is_forgotten_but_what_people_gave(sent: Sent, session: Session) -> None:
    from tasks.topology import refresh

    old = times.now() - timedelta(days=100)
    for source in ("api", "labels", "traces"):
        session.add(TopologyEdge(caller="a", callee="b", source=source, first_seen=old, last_seen=old))
    session.flush()
    refresh()
    assert session.scalars(select(TopologyEdge.source)).all() == ["api"]


def test_alerts_of_before_the_upgrade_are_grouped_when_they_fire(
    worker: Settings, sent: Sent, session: Session
) -> None:
    """The migration takes all as taken in but the newest entry of each firing alert."""
    for name, status in (("Fires", "firing"), ("Over", "resolved")):
        row = Alert(
            fingerprint=name, alert_name=name, labels={"alertname": name, "service": name}, annotations={},
            starts_at=ago(10), status=status, extra={},
        )  # fmt: skip
        session.add(row)
        session.flush()
        entry = AlertHistory(alert_id=row.id, change="firing")
        session.add(entry)
        session.flush()
        session.execute(update(GroupingPosition).values(last_id=entry.id))
        if status == "firing":
            session.add(LateChange(history_id=entry.id))
    session.flush()
    group()
    assert [incident.title for incident in incidents(session)] == ["Fires on fires"]
