"""Choices of a detector: made by an admin, listed, withdrawn, and of several the newest holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AuditRecord
from db.queries import detector_choices
from sensus.settings import DETECTORS
from tests.integration.read.rows import add_series


@pytest.fixture
def admin(as_key: Callable[..., FlaskClient]) -> FlaskClient:
    return as_key("read", "admin")


def chosen_for(session: Session, *series_ids: int) -> dict[int, str]:
    return detector_choices.detectors_of(session, detector_choices.every(session), series_ids)


def test_a_choice_is_listed_audited_and_withdrawn(admin: FlaskClient, session: Session) -> None:
    made = admin.post("/api/v1/detectors", json={"match": 'cpu{job="web"}', "detector": "seasonal_baseline"})
    assert made.status_code == 201, made.text
    told = made.get_json()
    assert (told["match"], told["detector"]) == ('cpu{job="web"}', "seasonal_baseline")
    listed = admin.get("/api/v1/detectors").get_json()
    assert (listed["default"], listed["available"]) == ("isolation_forest", list(DETECTORS))
    assert listed["items"] == [told]
    assert admin.delete(f"/api/v1/detectors/{told['id']}").status_code == 204
    assert admin.delete(f"/api/v1/detectors/{told['id']}").status_code == 404
    assert admin.get("/api/v1/detectors").get_json()["items"] == []
    acts = session.scalars(select(AuditRecord.action).order_by(AuditRecord.id)).all()
    assert acts == ["detector_chosen", "detector_withdrawn"]


def test_a_choice_holds_for_the_series_of_its_selector_and_the_newest_one_wins(
    admin: FlaskClient, session: Session
) -> None:
    web, database = add_series(session, "cpu", job="web"), add_series(session, "cpu", job="db")
    other = add_series(session, "memory", job="web")
    for body in (
        {"metric_name": "cpu", "detector": "ensemble"},
        {"labels": {"job": "web"}, "detector": "half_space_trees"},
        {"match": 'cpu{job=~"d.*"}', "detector": "seasonal_baseline"},
    ):
        assert admin.post("/api/v1/detectors", json=body).status_code == 201
    ids = (web.id, database.id, other.id)
    assert chosen_for(session, *ids) == dict(
        zip(ids, ("half_space_trees", "seasonal_baseline", "half_space_trees"), strict=True)
    )
    # Said again, a choice is the newest.
    admin.post("/api/v1/detectors", json={"metric_name": "cpu", "detector": "isolation_forest"})
    assert len(admin.get("/api/v1/detectors").get_json()["items"]) == 3
    assert chosen_for(session, web.id, database.id) == {web.id: "isolation_forest", database.id: "isolation_forest"}
    assert detector_choices.in_use(session) == {"isolation_forest", "half_space_trees", "seasonal_baseline"}


def test_a_selector_that_names_no_metric_is_shown_by_its_labels(admin: FlaskClient) -> None:
    told = admin.post("/api/v1/detectors", json={"labels": {"job": 'a "b"'}, "detector": "ensemble"}).get_json()
    assert told["match"] == '{job="a \\"b\\""}'


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"match": "cpu", "detector": "crystal_ball"},
        {"detector": "ensemble"},
        {"labels": {}, "detector": "ensemble"},
        {"match": "cpu", "metric_name": "cpu", "detector": "ensemble"},
        {"match": "cpu{", "detector": "ensemble"},
        {"match": 'cpu{job=~"("}', "detector": "ensemble"},
        {"metric_name": "c\0", "detector": "ensemble"},
        {"labels": {"job": 3}, "detector": "ensemble"},
    ],
)
def test_what_is_no_choice_is_refused_and_changes_nothing(admin: FlaskClient, session: Session, body: dict) -> None:
    assert admin.post("/api/v1/detectors", json=body).status_code == 422
    assert detector_choices.every(session) == ()
