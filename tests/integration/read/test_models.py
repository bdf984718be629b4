"""Versions of the model, which one scores, and the long work on them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AuditRecord, ModelVersion, TaskRun
from db.queries import models as versions
from db.queries import standings
from sensus import times
from sensus.errors import Conflict, NotFound
from tests.integration.read.rows import NOON, add_model
from tests.waiting import wait_for


@pytest.fixture
def admin(as_key: Callable[..., FlaskClient]) -> FlaskClient:
    return as_key("read", "admin")


def in_force(session: Session) -> list[str]:
    return list(session.scalars(select(ModelVersion.version).where(ModelVersion.is_active)))


def test_versions_are_listed_newest_first_without_their_bytes(writer: FlaskClient, session: Session) -> None:
    known = len(list(session.scalars(select(ModelVersion.id))))
    add_model(session, "v1")
    newest = add_model(session, "v2")
    session.refresh(newest)
    answer = writer.get("/api/v1/models")
    items = answer.get_json()["items"]
    assert [item["version"] for item in items][:2] == ["v2", "v1"]
    assert len(items) == known + 2
    assert "secret bytes" not in answer.text
    assert items[0] == {
        "id": newest.id,
        "version": "v2",
        "algorithm": "isolation_forest",
        "parameters": {"trees": 100},
        "training_date": times.isoformat(NOON),
        "role": "stored",
        "is_active": False,
        "activated_at": None,
        "challenger_since": None,
        "shadow_share": None,
        "checksum": "c0ffee",
        "feature_names": ["level"],
        "library_versions": {"numpy": "2"},
        "data_window": {"series": 1},
        "evaluation": {"f1": 0.5},
        "drift": {},
        "created_at": times.isoformat(newest.created_at),
    }


def test_activating_a_version_takes_the_place_of_the_one_before_and_is_audited(
    admin: FlaskClient, session: Session
) -> None:
    add_model(session, "v1")
    add_model(session, "v3")
    assert admin.post("/api/v1/models/v1/activate").get_json()["is_active"] is True
    assert in_force(session) == ["v1"]
    told = admin.post("/api/v1/models/v3/activate").get_json()
    assert told["activated_at"].endswith("Z")
    assert in_force(session) == ["v3"]
    records = session.scalars(select(AuditRecord).where(AuditRecord.action == "model_activated")).all()
    assert [record.subject for record in records] == ["model:v1", "model:v3"]


def test_each_algorithm_has_a_version_in_force_and_at_most_one_challenger(admin: FlaskClient, session: Session) -> None:
    for version, algorithm in (("a1", "ensemble"), ("a2", "ensemble"), ("a3", "ensemble"), ("b1", "isolation_forest")):
        add_model(session, version, algorithm=algorithm)
    for version in ("a1", "b1"):
        admin.post(f"/api/v1/models/{version}/activate")
    for version in ("a2", "a3", "a3"):
        standings.challenge(session, version)

    def roles() -> dict[str, str]:
        return {item["version"]: item["role"] for item in admin.get("/api/v1/models").get_json()["items"]}

    assert roles() == {"a1": "champion", "a2": "stored", "a3": "challenger", "b1": "champion"}
    standing = standings.standings(session)["ensemble"]
    assert standing.champion is not None
    assert standing.challenger is not None
    assert (standing.champion.version, standing.challenger.version) == ("a1", "a3")
    with pytest.raises(Conflict):
        standings.challenge(session, "a1")
    with pytest.raises(NotFound):
        standings.challenge(session, "a9")
    admin.post("/api/v1/models/a3/activate")
    assert roles() == {"a1": "former", "a2": "stored", "a3": "champion", "b1": "champion"}
    assert standings.challengers(session) == []
    assert versions.rollback(session, "ensemble").version == "a1"
    assert roles() == {"a1": "champion", "a2": "stored", "a3": "stored", "b1": "champion"}
    with pytest.raises(Conflict):
        versions.rollback(session, "ensemble")


def test_old_versions_are_forgotten_by_algorithm_and_never_those_that_score(session: Session) -> None:
    for algorithm in ("ensemble", "isolation_forest"):
        for number in range(6):
            add_model(session, f"{algorithm}-{number}", algorithm=algorithm)
        versions.activate(session, f"{algorithm}-0")
        standings.challenge(session, f"{algorithm}-1")
    assert versions.forget_old(session, keep=2) == 4
    left = session.scalars(select(ModelVersion.version).order_by(ModelVersion.version)).all()
    assert left == [f"{algorithm}-{n}" for algorithm in ("ensemble", "isolation_forest") for n in (0, 1, 4, 5)]


@pytest.mark.parametrize("version", ["nothing", "%00", "a%00b", "x" * 5000])
def test_activating_what_is_not_there_changes_nothing(admin: FlaskClient, session: Session, version: str) -> None:
    before = in_force(session)
    assert admin.post(f"/api/v1/models/{version}/activate").status_code == 404
    assert in_force(session) == before


@pytest.mark.parametrize(("path", "kind"), [("train", "train"), ("evaluate", "evaluate")])
def test_long_work_is_asked_for_once_and_can_be_followed(
    admin: FlaskClient, session: Session, path: str, kind: str
) -> None:
    asked = admin.post(f"/api/v1/models/{path}")
    assert asked.status_code == 202
    task_id = asked.get_json()["task_id"]
    assert admin.post(f"/api/v1/models/{path}").get_json() == {"task_id": task_id}
    told = admin.get(f"/api/v1/tasks/{task_id}").get_json()
    assert (told["task_id"], told["kind"], told["state"]) == (task_id, kind, "pending")
    run = session.get_one(TaskRun, uuid.UUID(task_id))
    assert run.requested_by == told["requested_by"]
    assert run.request_id == asked.headers["X-Request-ID"]
    run.state, run.error, run.progress, run.finished_at = "failed", "no samples", {"series": 3}, NOON
    session.flush()
    told = admin.get(f"/api/v1/tasks/{task_id}").get_json()
    assert (told["state"], told["error"], told["progress"], told["result"], told["finished_at"]) == (
        "failed",
        "no samples",
        {"series": 3},
        {},
        times.isoformat(NOON),
    )
    assert admin.post(f"/api/v1/models/{path}").get_json()["task_id"] != task_id


@pytest.mark.parametrize("task_id", ["nothing", "1", str(uuid.UUID(int=0))])
def test_a_task_that_is_not_there_is_not_found(writer: FlaskClient, task_id: str) -> None:
    assert writer.get(f"/api/v1/tasks/{task_id}").status_code == 404


def test_figures_of_the_models_that_score_are_shown_to_prometheus(client: FlaskClient, session: Session) -> None:
    for version in ("v1", "v2"):
        add_model(session, version)
    versions.activate(session, "v1")
    standings.challenge(session, "v2")
    key = versions.find(session, "v1")
    versions.keep_evaluation(session, key.id, {"auroc": 0.75, "until": "2026", "feedback": {"real": 1}, "odd": True})
    versions.keep_drift(session, key.id, {"psi": {"surprise": 0.5}, "largest": 0.5})

    def page() -> str:
        return str(client.get("/metrics").get_data(as_text=True))

    # What the database does not tell in time is left out of a page.
    wait_for(lambda: "sensus_model_info{" in page(), "the figures of models are shown")
    shown = page()
    of_champion = 'algorithm="isolation_forest",{}="{}",role="champion"'
    assert 'sensus_model_info{algorithm="isolation_forest",role="champion",version="v1"} 1.0' in shown
    assert 'sensus_model_info{algorithm="isolation_forest",role="challenger",version="v2"} 1.0' in shown
    for name, label, value in (("auroc", "figure", 0.75), ("f1", "figure", 0.5), ("surprise", "feature", 0.5)):
        metric = "sensus_model_evaluation" if label == "figure" else "sensus_model_drift"
        assert f"{metric}{{{of_champion.format(label, name)}}} {value}" in shown
    for no_number in ("until", "feedback", "odd"):
        assert f'figure="{no_number}"' not in shown
    assert "sensus_model_trained_timestamp_seconds{" in shown


def test_a_rollback_and_a_challenge_are_asked_for_and_audited(admin: FlaskClient, session: Session) -> None:
    for version in ("v1", "v2"):
        add_model(session, version)
        admin.post(f"/api/v1/models/{version}/activate")
    assert admin.post("/api/v1/models/rollback").get_json()["version"] == "v1"
    assert in_force(session) == ["v1"]
    assert admin.post("/api/v1/models/v2/challenge").get_json()["role"] == "challenger"
    assert admin.post("/api/v1/models/v1/challenge").status_code == 409
    assert admin.post("/api/v1/models/nothing/challenge").status_code == 404
    assert admin.post("/api/v1/models/rollback?detector=ensemble").status_code == 409
    assert admin.post("/api/v1/models/rollback?detector=nothing").status_code == 422
    acts = session.execute(select(AuditRecord.action, AuditRecord.subject).order_by(AuditRecord.id)).all()
    assert [tuple(act) for act in acts][2:] == [("model_rolled_back", "model:v1"), ("model_challenges", "model:v2")]
