"""What can go wrong that a user or a caller must hear of, each with the facts to say so in one line."""

from __future__ import annotations

from collections.abc import Mapping


class SensusError(Exception):
    """The work failed; the message is one line, fit for a user, and says what to do."""

    permanent = False  # whether the same attempt would fail again


class ConfigurationError(SensusError):
    """The installation is not as it must be; somebody has to change a setting or a machine."""

    permanent = True


class Invalid(SensusError):
    """The caller sent something that can't be accepted; `fields` has the path of each bad field."""

    permanent = True

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class Unreadable(SensusError):
    """The body is not what its content type says."""

    permanent = True


class NotFound(SensusError):
    """What was asked for does not exist, or no longer."""

    permanent = True


class Conflict(SensusError):
    """The thing exists, but its state does not allow this."""

    permanent = True


class Unauthenticated(SensusError):
    """Nobody, or somebody whose proof does not hold."""

    permanent = True


class Forbidden(SensusError):
    """Known, but without the scope that this needs."""

    permanent = True


class Unavailable(SensusError):
    """A server that this needs is away; the same request may succeed later."""
