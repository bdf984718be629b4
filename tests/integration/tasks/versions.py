"""A version beside the built-in one, and the figures that a series has when one scores after the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.queries import models, standings
from db.session import Database
from ml.artifact import Model
from ml.memory import Memory, with_rings
from ml.scoring import Unscored, score_batch
from ml.training import fit_model, ordinary_rows
from sensus import times
from tasks.in_force import InForce, as_version

Rows = Sequence[tuple[datetime, float]]
Figures = list[tuple[datetime, float, float]]


@cache
def another() -> Model:
    """A model that says something else of most samples than the built-in one."""
    return fit_model("another", ordinary_rows()[:3000], {"seed": 7}, parameters={"trees": 20})


def challenge(database: Database) -> int:
    """`another` scores in the shadow of the built-in model from now on; its id."""
    InForce().get(database)
    with database.transaction() as mine:
        version_id = models.add(mine, as_version(another(), data_window={}, evaluation={}))
        standings.challenge(mine, "another")
    return version_id


def activate(database: Database, version: str) -> None:
    with database.transaction() as mine:
        models.activate(mine, version)


def offline(parts: Sequence[tuple[Model, Rows]]) -> Figures:
    """The figures of a series whose samples are scored by one model after the other."""
    memory: Memory | None = None
    found: Figures = []
    for model, rows in parts:
        moments = [at for at, _ in rows]
        samples = Unscored([times.to_epoch(at) for at in moments], [value for _, value in rows], memory)
        (scored,) = score_batch(model, [samples])
        memory = with_rings(scored.memory, memory)
        found += zip(moments, scored.scores, scored.alerts, strict=True)
    return found


def shadow_of(session: Session, series_id: int) -> Figures:
    rows = session.execute(
        text("SELECT timestamp, score, alert FROM shadow_scores WHERE series_id = :id ORDER BY timestamp"),
        {"id": series_id},
    )
    return [(at, score, alert) for at, score, alert in rows]
