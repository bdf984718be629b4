"""Which versions of the detection models are there, and which one of each algorithm is in force?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion
from sensus.errors import Conflict, NotFound

# Whoever changes which version is in force holds this lock until his commit: there is never none in between.
_ACTIVATION_LOCK = 0x53656E73_0001
KEYS = select(ModelVersion.id, ModelVersion.version, ModelVersion.checksum, ModelVersion.algorithm)


@dataclass(frozen=True, slots=True)
class VersionKey:
    """Enough of a version to see whether a process has already loaded it."""

    id: int
    version: str
    checksum: str
    algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version as it is put in."""

    version: str
    algorithm: str
    parameters: Mapping[str, Any]
    training_date: datetime
    artifact: bytes
    checksum: str
    library_versions: Mapping[str, str]
    feature_names: Sequence[str]
    data_window: Mapping[str, Any]
    evaluation: Mapping[str, Any]


def in_force(session: Session, algorithm: str) -> VersionKey | None:
    """The version of this algorithm that scores at present; None where there never was one."""
    return _key(session, ModelVersion.is_active.is_(True), ModelVersion.algorithm == algorithm)


def once_in_force(session: Session, algorithm: str) -> list[VersionKey]:
    """Versions that were in force and were not withdrawn, the latest first; the present one is not among them."""
    rows = session.execute(
        KEYS.where(
            ModelVersion.activated_at.is_not(None), ~ModelVersion.is_active, ModelVersion.algorithm == algorithm
        ).order_by(ModelVersion.activated_at.desc(), ModelVersion.id.desc())
    )
    return [VersionKey(*row) for row in rows]


def find(session: Session, version: str) -> VersionKey:
    """The version of this name.  Raises NotFound."""
    found = _key(session, ModelVersion.version == version)
    if found is None:
        raise NotFound(f"there is no model version {version!r}; `sensus models list` shows all")
    return found


def artifact(session: Session, version_id: int) -> bytes:
    """The bytes of a version.  Raises NotFound."""
    data = session.scalar(select(ModelVersion.artifact).where(ModelVersion.id == version_id))
    if data is None:
        raise NotFound("that model version is gone")
    return data


def listing(session: Session) -> list[ModelVersion]:
    """All versions, newest first, without their bytes."""
    return list(session.scalars(select(ModelVersion).order_by(ModelVersion.id.desc())))


def add(session: Session, new: NewVersion) -> int:
    """Put in a version that is not in force; its id.  One that is there already under this name stays as it is."""
    row = {
        "version": new.version,
        "algorithm": new.algorithm,
        "parameters": dict(new.parameters),
        "training_date": new.training_date,
        "artifact": new.artifact,
        "checksum": new.checksum,
        "library_versions": dict(new.library_versions),
        "feature_names": list(new.feature_names),
        "data_window": dict(new.data_window),
        "evaluation": dict(new.evaluation),
    }
    session.execute(insert(ModelVersion).values(row).on_conflict_do_nothing(index_elements=["version"]))
    return find(session, new.version).id


def activate(session: Session, version: str) -> ModelVersion:
    """Put this version in force instead of the present one of its algorithm.  Raises NotFound."""
    lock(session)
    chosen = session.scalar(select(ModelVersion).where(ModelVersion.version == version).with_for_update())
    if chosen is None:
        raise NotFound(f"there is no model version {version!r}; `sensus models list` shows all")
    if not chosen.is_active:
        _withdraw_present(session, chosen.algorithm)
        # The moment of the statement, since two activations in one transaction must not look simultaneous.
        session.execute(
            update(ModelVersion)
            .where(ModelVersion.id == chosen.id)
            .values(is_active=True, activated_at=func.clock_timestamp(), is_challenger=False)
        )
        session.refresh(chosen)
    return chosen


def activate_if_none(session: Session, version: str) -> bool:
    """Put this version in force unless another one of its algorithm is; whether it was done."""
    lock(session)
    if in_force(session, find(session, version).algorithm) is not None:
        return False
    activate(session, version)
    return True


def rollback(session: Session, algorithm: str) -> ModelVersion:
    """Withdraw the version in force, and put the one before it back.  Raises Conflict when there is none before it.

    A withdrawn version loses its `activated_at`: so the next rollback goes further back, and never returns to it.
    """
    lock(session)
    before = once_in_force(session, algorithm)
    if not before:
        raise Conflict(f"no earlier version of {algorithm} was in force; `sensus models activate VERSION` chooses any")
    session.execute(
        update(ModelVersion)
        .where(ModelVersion.is_active, ModelVersion.algorithm == algorithm)
        .values(is_active=False, activated_at=None)
    )
    session.execute(
        update(ModelVersion).where(ModelVersion.id == before[0].id).values(is_active=True, is_challenger=False)
    )
    return session.get_one(ModelVersion, before[0].id, populate_existing=True)


def keep_evaluation(session: Session, version_id: int, evaluation: Mapping[str, Any]) -> None:
    """Add to what is known of how good a version is, in place of what is known under the same names."""
    session.execute(
        update(ModelVersion)
        .where(ModelVersion.id == version_id)
        .values(evaluation=ModelVersion.evaluation.op("||")(cast(dict(evaluation), JSONB)))
    )


def keep_drift(session: Session, version_id: int, drift: Mapping[str, Any]) -> None:
    """Replace what is known of how far the data have moved away from a version."""
    session.execute(update(ModelVersion).where(ModelVersion.id == version_id).values(drift=dict(drift)))


def forget_old(session: Session, *, keep: int, before_present: int = 3) -> int:
    """Delete versions beyond the newest `keep` of each algorithm.

    Never one that scores, the few that were in force before, or a built-in one.
    """
    lock(session)
    by_age = func.row_number().over(partition_by=ModelVersion.algorithm, order_by=ModelVersion.id.desc())
    by_activation = func.row_number().over(
        partition_by=ModelVersion.algorithm, order_by=ModelVersion.activated_at.desc().nulls_last()
    )
    places = select(ModelVersion.id, by_age.label("by_age"), by_activation.label("by_activation")).subquery()
    spared = select(places.c.id).where(places.c.by_age <= keep)
    recent = select(places.c.id).where(places.c.by_activation <= 1 + before_present)
    gone = session.execute(
        delete(ModelVersion)
        .where(
            ~ModelVersion.is_active,
            ~ModelVersion.is_challenger,
            ModelVersion.id.not_in(spared),
            ModelVersion.activated_at.is_(None) | ModelVersion.id.not_in(recent),
            ~ModelVersion.version.startswith("builtin-"),
        )
        .returning(ModelVersion.id)
    )
    return len(gone.all())


def lock(session: Session) -> None:
    """Let nobody else change which versions score until the end of this transaction."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ACTIVATION_LOCK})


def _withdraw_present(session: Session, algorithm: str) -> None:
    session.execute(
        update(ModelVersion).where(ModelVersion.is_active, ModelVersion.algorithm == algorithm).values(is_active=False)
    )


def _key(session: Session, *conditions: ColumnElement[bool]) -> VersionKey | None:
    row = session.execute(KEYS.where(*conditions)).one_or_none()
    return None if row is None else VersionKey(*row)
