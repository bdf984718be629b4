"""Which models score in this process?  Of each detector champion and challenger, loaded once, looked at each time."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version as library_version

from sqlalchemy.orm import Session

from db.queries import models, standings
from db.session import Database
from ml import artifact, detectors
from ml.artifact import Model
from ml.builtin import builtin_model
from ml.drift import Distribution
from ml.errors import ArtifactOutdated, ArtifactRejected
from ml.training import ordinary_rows
from sensus import logs, metrics, times

log = logs.get_logger(__name__)
# What a bad version means for the one before it is looked at a few versions back, not through all of history.
_MOST_LOOKED_AT = 5


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model in memory, and the row it is recorded under; it equals itself alone."""

    key: models.VersionKey
    model: Model


@dataclass(frozen=True, slots=True)
class Scorers:
    """Whose figures are those of a series, and who scores it in the shadow, if anybody does."""

    own: Loaded
    shadow: Loaded | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """The champion of a detector and its challenger, if any, which scores a share of the series in the shadow."""

    champion: Loaded
    challenger: Loaded | None = None
    shadow_share: float = 0.0

    def of_series(self, series_id: int, challenger_share: float) -> Scorers:
        """Who scores a series when the challenger's figures are those of so large a share of the series.

        The same series are in the share for each challenger; a larger share has those of a smaller one.
        """
        place = place_of(series_id)
        if self.challenger is None or place >= max(self.shadow_share, challenger_share):
            return Scorers(self.champion)
        if place < challenger_share:
            return Scorers(self.challenger, self.champion)
        return Scorers(self.champion, self.challenger)


def place_of(series_id: int) -> float:
    """A number from 0 to less than 1 that stays with a series; those of many series are spread evenly."""
    digest = blake2b(series_id.to_bytes(8, "big"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2.0**48


class InForce:
    """The versions in force, for one process."""

    def __init__(self) -> None:
        # By algorithm the version that is wanted, and what is there in its place.
        self._champions: dict[str, tuple[models.VersionKey, Loaded]] = {}
        self._challengers: dict[str, tuple[models.VersionKey, Loaded | None]] = {}

    def get(self, database: Database, algorithm: str = detectors.DEFAULT) -> Loaded:
        """The model of this algorithm in force.  Raises Unavailable."""
        return self.pair(database, algorithm).champion

    def pair(self, database: Database, algorithm: str = detectors.DEFAULT) -> Pair:
        """The models of this algorithm to score with.

        Costs one query while the versions stay the same.  Bytes that differ from their checksum are refused: in place
        of a champion the version before is used, at last the built-in one; in place of a challenger none.
        """
        with database.transaction() as session:
            standing = standings.of(session, algorithm)
        wanted = standing.champion or bring_builtin(database, algorithm)
        known = self._champions.get(algorithm)
        if known is None or known[0] != wanted:
            known = wanted, _load(database, wanted)
            self._champions[algorithm] = known
            log.info("model_loaded", version=known[1].model.version, wanted=wanted.version)
        return Pair(known[1], self._challenger(database, algorithm, standing.challenger), standing.shadow_share)

    def _challenger(self, database: Database, algorithm: str, wanted: models.VersionKey | None) -> Loaded | None:
        if wanted is None:
            self._challengers.pop(algorithm, None)
            return None
        known = self._challengers.get(algorithm)
        if known is None or known[0] != wanted:
            known = wanted, _load_challenger(database, wanted)
            self._challengers[algorithm] = known
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
    generated_of = {"generated": True, "distribution": Distribution.of(ordinary_rows()).to_dict()}
    return as_version(builtin_model(algorithm), data_window=generated_of, evaluation={})


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


def _load_challenger(database: Database, wanted: models.VersionKey) -> Loaded | None:
    try:
        with database.transaction() as session:
            model = load_version(session, wanted)
    except ArtifactRejected as refusal:
        metrics.models_refused.inc()
        log.error("model_refused", version=wanted.version, reason=str(refusal))
        return None
    log.info("challenger_loaded", version=wanted.version)
    return Loaded(wanted, model)


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
