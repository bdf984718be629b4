"""Versions of the model, which one scores, and the long work on them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AuditRecord, ModelVersion, TaskRun
from sensus import times
from tests.integration.read.rows import NOON, add_model


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
        "is_active": False,
        "activated_at": None,
        "checksum": "c0ffee",
        "feature_names": ["level"],
        "library_versions": {"numpy": "2"},
        "data_window": {"series": 1},
        "evaluation": {"f1": 0.5},
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
