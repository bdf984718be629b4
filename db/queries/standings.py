"""Who is champion and who is challenger of each algorithm?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.models.model_version import ModelVersion
from db.models.sample import SeriesProgress
from db.queries import models
from db.queries.models import VersionKey
from sensus.errors import Conflict, NotFound

# A challenger scores so many series at most: enough to compare it by, and a bound of what that costs.
MOST_SHADOWED = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """The versions of one algorithm that score: one whose figures count, and one in its shadow."""

    champion: VersionKey | None
    challenger: VersionKey | None
    shadow_share: float = 0.0  # of the series, those that the challenger scores


@dataclass(frozen=True, slots=True)
class Challenger:
    """A version that scores in the shadow, and since when."""

    key: VersionKey
    since: datetime


def standings(session: Session) -> dict[str, Standing]:
    """By algorithm; one without any version that scores is left out."""
    rows = session.execute(
        models.KEYS.add_columns(ModelVersion.is_active, ModelVersion.shadow_share).where(
            ModelVersion.is_active | ModelVersion.is_challenger
        )
    )
    found: dict[str, Standing] = {}
    for *key, is_active, share in rows:
        version = VersionKey(*key)
        there = found.get(version.algorithm, Standing(None, None))
        found[version.algorithm] = (
            replace(there, champion=version)
            if is_active
            else replace(there, challenger=version, shadow_share=share or 0.0)
        )
    return found


def of(session: Session, algorithm: str) -> Standing:
    """Who scores with this algorithm."""
    return standings(session).get(algorithm, Standing(None, None))


def challengers(session: Session) -> list[Challenger]:
    """Every version that scores in the shadow of another one."""
    rows = session.execute(models.KEYS.add_columns(ModelVersion.challenger_since).where(ModelVersion.is_challenger))
    return [Challenger(VersionKey(*key), since) for *key, since in rows]


def challenge(session: Session, version: str) -> VersionKey:
    """Let this version score in the shadow of the champion, in place of the present challenger.

    Raises NotFound, and Conflict for the version in force.
    """
    models.lock(session)
    chosen = session.scalar(select(ModelVersion).where(ModelVersion.version == version).with_for_update())
    if chosen is None:
        raise NotFound(f"there is no model version {version!r}; `sensus models list` shows all")
    if chosen.is_active:
        raise Conflict(f"{version} is in force; it can't challenge itself")
    if not chosen.is_challenger:
        _retire_present(session, chosen.algorithm)
        session.execute(
            update(ModelVersion)
            .where(ModelVersion.id == chosen.id)
            .values(is_challenger=True, challenger_since=func.clock_timestamp(), shadow_share=_share(session))
        )
    return VersionKey(chosen.id, chosen.version, chosen.checksum, chosen.algorithm)


def retire(session: Session, challenger: VersionKey) -> None:
    """Let this version challenge no more; it stays stored."""
    models.lock(session)
    session.execute(update(ModelVersion).where(ModelVersion.id == challenger.id).values(is_challenger=False))


def _share(session: Session) -> float:
    """The share of all series that are about `MOST_SHADOWED`: it stays the same while the challenger scores."""
    return min(1.0, MOST_SHADOWED / max(session.scalar(select(func.count(SeriesProgress.series_id))) or 0, 1))


def _retire_present(session: Session, algorithm: str) -> None:
    session.execute(
        update(ModelVersion)
        .where(ModelVersion.is_challenger, ModelVersion.algorithm == algorithm)
        .values(is_challenger=False)
    )
