"""Which model does a command mean?  A version of the database, the built-in one, or a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from db.queries import models
from db.session import Database
from ml import artifact, detectors
from ml.builtin import builtin_model, builtin_version
from ml.errors import ArtifactRejected
from sensus.errors import ConfigurationError, SensusError, Unavailable
from sensus.settings import RUN_FILE, Settings, of_running_stack
from tasks.in_force import load_version


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers of this command are, and who says so."""

    database_url: str | None
    redis_url: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model, and one line that says which it is and why."""

    model: artifact.Model
    why: str


class ModelUnusable(SensusError):
    """The model that was asked for can't be used."""

    permanent = True


def addresses(settings: Settings) -> Addresses:
    """The servers that the settings name, else those of a stack that runs in the data folder, else none."""
    found = of_running_stack(settings)
    if found.database_url is None:
        return Addresses(None, None, "")
    named = settings.database_url is not None
    redis_url = None if found.redis_url is None else found.require_redis_url()
    source = "SENSUS_DATABASE_URL" if named else str(settings.data_dir / RUN_FILE)
    return Addresses(found.require_unpooled_url(), redis_url, source)


@contextmanager
def opened(where: Addresses) -> Iterator[Database]:
    """The database for a block.  Raises ConfigurationError when there is none."""
    if where.database_url is None:
        raise ConfigurationError(
            "no database is known: start `sensus up`, set SENSUS_DATA_DIR to the folder of one that runs, or set "
            "SENSUS_DATABASE_URL"
        )
    database = Database(where.database_url, application="sensus-models", backoff_s=())
    try:
        yield database
    finally:
        database.close()


def choose(name: str | None, settings: Settings) -> Chosen:
    """The model of this name, version or path; without one, the version in force, else the built-in one.

    Raises ModelUnusable or NotFound for a name that leads nowhere.
    """
    if name is None:
        return _in_force(addresses(settings), settings.detector)
    for algorithm in detectors.names():
        if name == builtin_version(algorithm):
            return Chosen(builtin_model(algorithm), f"model {name}, as asked for")
    if (path := Path(name)).is_file():
        return Chosen(_from_file(path), f"model of the file {path}")
    where = addresses(settings)
    with _told(where), opened(where) as database, database.transaction() as session:
        model = load_version(session, models.find(session, name))
    return Chosen(model, f"model {name} of {where.source}")


def _in_force(where: Addresses, algorithm: str) -> Chosen:
    builtin = builtin_version(algorithm)
    if where.database_url is None:
        return Chosen(builtin_model(algorithm), f"model {builtin}, since no stack runs here")
    try:
        with _told(where), opened(where) as database, database.transaction() as session:
            key = models.in_force(session, algorithm)
            if key is not None:
                return Chosen(load_version(session, key), f"model {key.version}, in force in {where.source}")
    except Unavailable:
        # A database that somebody named must answer; a stack that was killed leaves its file behind.
        if where.source == "SENSUS_DATABASE_URL":
            raise
        return Chosen(builtin_model(algorithm), f"model {builtin}, since the stack of {where.source} does not answer")
    return Chosen(builtin_model(algorithm), f"model {builtin}, since no version is in force in {where.source} yet")


def _from_file(path: Path) -> artifact.Model:
    data = path.read_bytes()
    try:
        return artifact.load(data, artifact.checksum(data))
    except ArtifactRejected as refusal:
        raise ModelUnusable(f"{path} is not a model that `sensus models export` wrote: {refusal}") from None


@contextmanager
def _told(where: Addresses) -> Iterator[None]:
    """What goes wrong with the database, in one line that says what to do."""
    try:
        yield
    except ArtifactRejected as refusal:
        raise ModelUnusable(f"{refusal}; choose another one with --model, builtin-2 always works") from None
    except (SQLAlchemyError, Unavailable) as error:
        raise Unavailable(
            f"the database of {where.source} does not answer ({type(error).__name__}); "
            "start it, or use --model builtin-2, which needs none"
        ) from None
