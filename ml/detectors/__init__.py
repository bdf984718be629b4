"""The detectors there are, by name."""

from ml.detectors.base import Arrays, Detector, Parameters
from ml.detectors.ensemble import Ensemble
from ml.detectors.half_space_trees import HalfSpaceTrees
from ml.detectors.isolation_forest import IsolationForest
from ml.detectors.seasonal_baseline import SeasonalBaseline
from ml.errors import ArtifactRejected

DEFAULT = IsolationForest.name

_KINDS = {kind.name: kind for kind in (IsolationForest, SeasonalBaseline, HalfSpaceTrees, Ensemble)}


def names() -> tuple[str, ...]:
    """Names of all detectors."""
    return tuple(_KINDS)


def create(name: str, **parameters: int | float) -> Detector:
    """A detector that is not fitted yet. Raises ValueError for a name or a parameter that does not exist."""
    if name not in _KINDS:
        raise ValueError(f"no detector is called {name!r}; there are {', '.join(_KINDS)}")
    kind = _KINDS[name]
    unknown = set(parameters) - set(kind().parameters)
    if unknown:
        raise ValueError(f"{name} has no parameter {', '.join(sorted(unknown))}")
    made: Detector = kind(**parameters)  # type: ignore[arg-type]  # the names were checked; numbers convert
    return made


def restore(name: str, arrays: Arrays, parameters: Parameters) -> Detector:
    """A fitted detector from what it put away. Raises ArtifactRejected."""
    if name not in _KINDS:
        raise ArtifactRejected(f"the model is of a detector that does not exist here: {name!r}")
    return _KINDS[name].from_arrays(arrays, parameters)
