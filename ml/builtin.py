"""The models a fresh system scores with, before it has seen any history of its own."""

from functools import lru_cache

from ml import detectors
from ml.artifact import Model
from ml.training import ORDINARY_SEED, fit_model, ordinary_rows

BUILTIN_VERSION = "builtin-2"


def builtin_model(algorithm: str = detectors.DEFAULT) -> Model:
    """The built-in model of a detector: fitted on generated ordinary series, the same in every process that asks."""
    return _fitted(algorithm)


@lru_cache(maxsize=len(detectors.names()))
def _fitted(algorithm: str) -> Model:
    rows = ordinary_rows()
    trained_on = {"series": 0, "samples": 0, "rows": 0, "ordinary_rows": len(rows), "seed": ORDINARY_SEED}
    return fit_model(builtin_version(algorithm), rows, trained_on, algorithm)


def builtin_version(algorithm: str = detectors.DEFAULT) -> str:
    """The version of the built-in model of a detector."""
    return BUILTIN_VERSION if algorithm == detectors.DEFAULT else f"{BUILTIN_VERSION}-{algorithm}"
