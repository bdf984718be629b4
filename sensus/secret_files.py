"""Which secrets stand in files?  `SENSUS_JWT_SECRET_FILE=/run/secrets/jwt_secret` in place of the secret itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sensus.errors import ConfigurationError

SUFFIX = "_FILE"
# Far above any key or address; a path that was mixed up, such as that of a log, is told and not read whole.
MOST_BYTES = 65_536


def read(environment: Mapping[str, str | None], secrets: Iterable[str]) -> dict[str, str]:
    """The secrets that files hold, by their variables' names without the suffix.

    Raises ConfigurationError, in one line without the secret, for a file that can't be used, and for a secret that is
    given both ways: which one is meant would be a guess.
    """
    found: dict[str, str] = {}
    for name in secrets:
        path = environment.get(name + SUFFIX)
        if not path:
            continue
        if environment.get(name):
            raise ConfigurationError(f"{name} and {name}{SUFFIX} are both set; leave out one of them")
        found[name] = _content(name + SUFFIX, Path(path))
    return found


def _content(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        told = f"{name}: {path} can't be read ({error.strerror})"
        hint = f"; this process is user {os.geteuid()}" if isinstance(error, PermissionError) else ""
        raise ConfigurationError(told + hint) from error
    try:
        # Editors and `echo` end a file with a line break, which is no part of the secret.
        secret = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if len(content) > MOST_BYTES or not secret or "\n" in secret:
        raise ConfigurationError(f"{name}: {path} must hold the secret on its one line, in UTF-8")
    return secret
