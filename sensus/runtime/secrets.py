"""Which secrets does an installation have?  Random ones, made at the first start and kept for its owner only."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sensus.errors import ConfigurationError
from sensus.settings import SECRETS_FILE

FILE = SECRETS_FILE
# Beside the secrets in their file: when it is removed for new ones, these are shown as well.
_SHOWN = "shown"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What `sensus up` makes for a new data folder and finds again in an old one."""

    jwt_secret: str
    admin_password: str
    source_key: str


_MAKERS: dict[str, Callable[[], str]] = {
    "jwt_secret": lambda: secrets.token_urlsafe(48),
    "admin_password": lambda: secrets.token_urlsafe(15),
    "source_key": lambda: "sns_" + secrets.token_urlsafe(32),
}
NAMES = tuple(_MAKERS)


def load(data_dir: Path) -> Secrets:
    """The secrets of this data folder; the first call makes them."""
    return Secrets(**keep(data_dir / FILE, _MAKERS))


def were_shown(data_dir: Path) -> bool:
    """Whether a start of this data folder has got as far as showing its secrets."""
    return _SHOWN in _found(data_dir / FILE)


def note_shown(data_dir: Path) -> None:
    """Say that they were shown; for good."""
    found = _found(data_dir / FILE)
    if _SHOWN not in found:
        _write(data_dir / FILE, {**found, _SHOWN: "yes"})


def keep(path: Path, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
    """The named values of a private JSON file; those that it lacks are made and written, the others stay.

    Raises ConfigurationError when the file is damaged: new secrets would lock the owner out of old data.
    """
    private_folder(path.parent)
    found = _found(path)
    if not all(isinstance(found.get(name, ""), str) for name in makers):
        raise _no_secrets(path)
    values = {name: found.get(name) or make() for name, make in makers.items()}
    if any(found.get(name) != value for name, value in values.items()):
        _write(path, {**found, **values})
    return values


def _found(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text("utf-8"))
        path.chmod(0o600)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read ({error}); restore it or remove it for new secrets") from error
    if not isinstance(found, dict):
        raise _no_secrets(path)
    return found


def _no_secrets(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} is not a list of secrets; restore it or remove it for new secrets")


def _write(path: Path, values: Mapping[str, str]) -> None:
    write_private(path, json.dumps(values, indent=2) + "\n")


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it, that only its owner may enter.

    Raises ConfigurationError when it can't be made or is somebody else's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        # A full folder keeps its mode: `--data /tmp` must not close /tmp to everybody else.
        if found.st_uid == os.geteuid() and found.st_mode & 0o077 and not any(folder.iterdir()):
            folder.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} can't be used as a data folder ({error.strerror}); choose another with --data DIR"
        ) from error
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{folder} belongs to another user (uid {found.st_uid}); start as that user or choose another --data DIR"
        )


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner only; a crash leaves the old one or the new one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # O_EXCL and the mode at creation: there is no moment in which others could open it.
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise ConfigurationError(f"{path} can't be written ({error.strerror})") from error


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
