"""Has this process all machine code that scoring needs?  It is read or compiled before the first sample comes.

`python -m ml.warm` does that while an image is built.
"""

from pickle import UnpicklingError

import numpy as np

from ml import detectors
from ml.artifact import Model
from ml.compiled import forget_machine_code
from ml.detectors.base import Arrays, Detector
from ml.detectors.ensemble import Ensemble
from ml.detectors.half_space_trees import HalfSpaceTrees
from ml.detectors.isolation_forest import COLUMNS
from ml.features import FEATURE_NAMES
from ml.forecast import forecasts
from ml.scoring import Unscored, score_batch

_HOUR_S = 3600.0


def warm_up() -> None:
    """Score and forecast two samples by the least model that goes every way: seconds the first time, then a moment.

    A cache that can't be read is compiled anew; trouble that comes again is raised.
    """
    try:
        _go_every_way()
    except (EOFError, UnpicklingError):
        forget_machine_code()
        _go_every_way()


def _go_every_way() -> None:
    model = Model("none", Ensemble.name, {}, FEATURE_NAMES, _least())
    (scored,) = score_batch(model, [Unscored([0.0, _HOUR_S], [0.0, 1.0])])
    forecasts([scored.memory])


def _least() -> Detector:
    """An ensemble of a tree without a branch, and of boxes that are all the same."""
    boxes = HalfSpaceTrees()
    leaves = 2**boxes.depth
    arrays: Arrays = {
        "isolation_forest/feature": np.zeros((1, 0), dtype=np.int16),
        "isolation_forest/threshold": np.zeros((1, 0)),
        "isolation_forest/length": np.ones((1, 1), dtype=np.int64),
        "isolation_forest/normal": np.ones(1),
        "isolation_forest/centre": np.zeros(len(COLUMNS)),
        "seasonal_baseline/unit": np.ones(1),
        "half_space_trees/shares": np.full((boxes.trees, leaves), 1.0 / leaves),
        "half_space_trees/scale": np.ones(2),
    }
    return detectors.restore(Ensemble.name, arrays, Ensemble().parameters)


if __name__ == "__main__":
    warm_up()
