"""Which models score in this process?  Of each detector its version in force, loaded once and looked at each time."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version as library_version

from sqlalchemy.orm import Session

from db.queries import models
from db.session import Database
from ml import artifact, detectors
from ml.artifact import Model
from ml.builtin import builtin_model
from ml.errors import ArtifactOutdated, ArtifactRejected
from sensus import logs, metrics, times

log = logs.get_logger(__name__)
# What a bad version means for the one before it is looked at a few versions back, not through all of history.
_MOST_LOOKED_AT = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, and the row it is recorded under."""

    key: models.VersionKey
    model: Model


class InForce:
    """The versions in force, for one process."""

    def __init__(self) -> None:
        self._loaded: dict[str, tuple[models.VersionKey, Loaded]] = {}

    def get(self, database: Database, algorithm: str = detectors.DEFAULT) -> Loaded:
        """The model of this algorithm to score with.

        Costs one query while the version in force stays the same.  Bytes that differ from their checksum are
        refused: then the version before is used, at last the built-in one.
        """
        with database.transaction() as session:
            wanted = models.in_force(session, algorithm)
        if wanted is None:
            wanted = bring_builtin(database, algorithm)
        known = self._loaded.get(algorithm)
        if known is None or known[0] != wanted:
            known = wanted, _load(database, wanted)
            self._loaded[algorithm] = known
            log.info("model_loaded", version=known[1].model.version, wanted=wanted.version)
        return known[1]


def bring_builtin(database: Database, algorithm: str = detectors.DEFAULT) -> models.VersionKey:
    """Put the built-in model of an algorithm in force where no version of it is, and return the one that is then."""
    new = builtin_version(algorithm)
    with database.transaction() as session:
        models.add(session, new)
        models.activate_if_none(session, new.version)
        return models.in_force(session, algorithm) or models.find(session, new.version)


def builtin_version(algorithm: str = detectors.DEFAULT) -> models.NewVersion:
    """The built-in model of an algorithm as a row."""
    return as_version(builtin_model(algorithm), data_window={"generated": True}, evaluation={})


def as_version(model: Model, *, data_window: dict[str, object], evaluation: dict[str, object]) -> models.NewVersion:
    """A model as a row."""
    data = artifact.dump(model)
    return models.NewVersion(
        version=model.version,
        algorithm=model.algorithm,
        parameters=model.parameters,
        training_date=times.now(),
        artifact=data,
        checksum=artifact.checksum(data),
        library_versions=model.library_versions or {"scikit-learn": library_version("scikit-learn")},
        feature_names=model.feature_names,
        data_window={**model.trained_on, **data_window},
        evaluation=evaluation,
    )


def load_version(session: Session, key: models.VersionKey) -> Model:
    """The model of a version.  Raises ArtifactRejected when its bytes are not what was stored."""
    return artifact.load(models.artifact(session, key.id), key.checksum)


def _load(database: Database, wanted: models.VersionKey) -> Loaded:
    with database.transaction() as session:
        before = models.once_in_force(session, wanted.algorithm)
    for key in (wanted, *before[:_MOST_LOOKED_AT]):
        try:
            with database.transaction() as session:
                return Loaded(key, load_version(session, key))
        except ArtifactOutdated as refusal:
            log.warning("model_outdated", version=key.version, reason=str(refusal))
        except ArtifactRejected as refusal:
            metrics.models_refused.inc()
            log.error("model_refused", version=key.version, reason=str(refusal))
    # The built-in model is computed, not read, so nobody can have tampered with it.
    builtin = builtin_model(wanted.algorithm)
    with database.transaction() as session:
        models.add(session, builtin_version(wanted.algorithm))
        return Loaded(models.find(session, builtin.version), builtin)
