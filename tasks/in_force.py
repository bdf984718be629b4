"""Which model scores in this process?  The version in force, loaded once and checked each time for a newer one."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version as library_version

from sqlalchemy.orm import Session

from db.queries import models
from db.session import Database
from ml import artifact, detectors
from ml.artifact import Model
from ml.builtin import BUILTIN_VERSION, builtin_model
from ml.errors import ArtifactRejected
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
    """The version in force, for one process."""

    def __init__(self) -> None:
        self._wanted: models.VersionKey | None = None
        self._loaded: Loaded | None = None

    def get(self, database: Database) -> Loaded:
        """The model to score with.

        Costs one query while the version in force stays the same.  Bytes that differ from their checksum are
        refused: then the version before is used, at last the built-in one.
        """
        with database.transaction() as session:
            wanted = models.in_force(session, detectors.DEFAULT)
        if wanted is None:
            wanted = bring_builtin(database)
        if self._loaded is None or wanted != self._wanted:
            self._loaded = _load(database, wanted)
            self._wanted = wanted
            log.info("model_loaded", version=self._loaded.model.version, wanted=wanted.version)
        return self._loaded


def bring_builtin(database: Database) -> models.VersionKey:
    """Put the built-in model in force where no version is, and return the one that is then."""
    new = builtin_version()
    with database.transaction() as session:
        models.add(session, new)
        models.activate_if_none(session, new.version)
        return models.in_force(session, detectors.DEFAULT) or models.find(session, new.version)


def builtin_version() -> models.NewVersion:
    """The built-in model as a row."""
    return as_version(builtin_model(), data_window={"generated": True}, evaluation={})


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
        before = models.once_in_force(session, detectors.DEFAULT)
    for key in (wanted, *before[:_MOST_LOOKED_AT]):
        try:
            with database.transaction() as session:
                return Loaded(key, load_version(session, key))
        except ArtifactRejected as refusal:
            metrics.models_refused.inc()
            log.error("model_refused", version=key.version, reason=str(refusal))
    # The built-in model is computed, not read, so nobody can have tampered with it.
    with database.transaction() as session:
        models.add(session, builtin_version())
        return Loaded(models.find(session, BUILTIN_VERSION), builtin_model())
