"""The model a fresh system scores with, before it has seen any history of its own."""

from functools import lru_cache

from ml.artifact import Model
from ml.training import ORDINARY_SEED, fit_model, ordinary_rows

BUILTIN_VERSION = "builtin-1"


@lru_cache(maxsize=1)
def builtin_model() -> Model:
    """The built-in model: fitted on generated ordinary series, the same in every process that asks for it."""
    rows = ordinary_rows()
    trained_on = {"series": 0, "samples": 0, "rows": 0, "ordinary_rows": len(rows), "seed": ORDINARY_SEED}
    return fit_model(BUILTIN_VERSION, rows, trained_on)
