"""What can go wrong in detection, said in exceptions that carry the facts."""


class DetectionError(Exception):
    """Detection cannot go on with what it was given; the same input fails again."""

    permanent = True


class ArtifactRejected(DetectionError):
    """The bytes are not a model that may be used here."""


class ArtifactOutdated(ArtifactRejected):
    """The bytes are a model of a release that computes other features; nothing is wrong with them."""


class NotEnoughHistory(DetectionError):
    """Too few samples after the warm-up to fit a model, or of too short a time to measure one."""

    def __init__(self, rows: int, needed: int, reason: str | None = None) -> None:
        super().__init__(reason or f"{rows} samples after the warm-up, at least {needed} are needed")
        self.rows = rows
        self.needed = needed


class NotFitted(DetectionError):
    """A detector was asked for scores before it was fitted."""
