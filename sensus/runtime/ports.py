"""Which port does a server listen on?  The one asked for when it is free, any free one for 0."""

from __future__ import annotations

import errno
import random
import socket

from sensus.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


# Of connections that go out the kernel chooses the ports from here on, so it may take any of these at any moment.
_FIRST_OF_CONNECTIONS = 32_768
_FIRST = 20_000
_TRIES = 100
_given: set[int] = set()


def choose(port: int, setting: str, *, host: str = LOOPBACK) -> int:
    """A port that is free now; for 0 one that this process was not given before, and no connection will take.

    Raises ConfigurationError, naming the port and the setting, when the one asked for is taken.
    """
    if port != 0:
        return _free(port, setting, host)
    for candidate in random.sample(range(_FIRST, _FIRST_OF_CONNECTIONS), _TRIES):
        try:
            found = _free(candidate, setting, host)
        except ConfigurationError:
            continue
        if found not in _given:
            _given.add(found)
            return found
    return _free(0, setting, host)


def _free(port: int, setting: str, host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Without this a port that is only in TIME_WAIT, as after each restart, would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(_reason(error, port, setting, host)) from error
        except OverflowError as error:
            raise ConfigurationError(f"{setting}={port} is no port; choose one from 0 to 65535") from error
        return int(probe.getsockname()[1])


def _reason(error: OSError, port: int, setting: str, host: str) -> str:
    if error.errno == errno.EADDRINUSE:
        # Only the API's port has an option of its own; for all, the setting takes 0.
        free = "--port 0" if setting == "SENSUS_PORT" else f"{setting}=0"
        return f"port {port} is taken ({setting}); choose another or {free}"
    if error.errno == errno.EACCES:
        return f"port {port} needs root ({setting}); choose one above 1023"
    return f"port {port} on {host} can't be used ({setting}): {error.strerror}"
