"""From the histories of many series to one model that all of them share."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version as library_version
from typing import Self

import numpy as np

from ml import detectors
from ml.artifact import Model, pack, unpack
from ml.detectors.base import FloatArray
from ml.errors import ArtifactRejected, NotEnoughHistory
from ml.features import FEATURE_NAMES, FIGURES, STATE, figures_in_chunks
from ml.ordinary import ordinary_series

DEFAULT_MAX_ROWS = 2_000
LEAST_ROWS = 256
ORDINARY_SEED = 20_240_101
_OF_A_GENERATED = 400
_SCORING = 1.0
_FORMAT = "sensus-training-set"
_LIBRARIES = ("numpy", "scikit-learn")


class TrainingSet:
    """A seeded sample of the figures of many series, balanced between them.

    At most `max_rows` rows are kept; when there are more, the series with the most rows give them up. The
    sample depends on the seed and on the order in which series were added, on nothing else.

    `ordinary_share` of the rows a model is fitted on are of generated ordinary series. A forest fitted on one or
    two series alone finds much strange that is ordinary elsewhere, and its scores no longer suit the policy's
    threshold: on NAB, refitted each night, that cost 10 points of 65.
    """

    def __init__(
        self,
        seed: int,
        max_rows: int = DEFAULT_MAX_ROWS,
        ordinary_share: float = 0.75,
        most_of_a_series: int = DEFAULT_MAX_ROWS,
    ) -> None:
        if not 0.0 <= ordinary_share < 1.0:
            raise ValueError(f"ordinary_share must be from 0 to less than 1, not {ordinary_share}")
        self.seed = seed
        self.max_rows = max_rows
        self.ordinary_share = ordinary_share
        self.most_of_a_series = most_of_a_series
        self.series = 0
        self.samples = 0
        self._parts: list[tuple[FloatArray, FloatArray]] = []  # draws (ascending) and rows, one pair a series

    @property
    def rows(self) -> int:
        """Feature rows kept."""
        return sum(len(draws) for draws, _ in self._parts)

    def add(self, times: Sequence[float], values: Sequence[float]) -> int:
        """Take in the history of one series, oldest first; how many of its rows are past the warm-up."""
        # Each series draws by its own number, so that adding in chunks draws the same.
        generator = np.random.default_rng([self.seed, self.series])
        draws, rows, found = np.zeros(0), np.zeros((0, FIGURES)), 0
        for figures in figures_in_chunks(times, values):
            warm = figures[figures[:, STATE] == _SCORING]
            found += len(warm)
            draws, rows = np.append(draws, generator.random(len(warm))), np.concatenate([rows, warm])
            kept = np.argsort(draws, kind="stable")[: min(self.max_rows, self.most_of_a_series)]
            draws, rows = draws[kept], rows[kept]
        self._parts.append((draws, rows))
        self.series += 1
        self.samples += len(times)
        # What is given up now would be given up later too: more series leave less room for each.
        if self.rows > 2 * self.max_rows:
            self._trim()
        return found

    def _trim(self) -> None:
        """Keep the rows of lowest draw, as many of each series as fit when all may have the same number.

        What room is left goes to the series whose next row has the lowest draw.
        """
        sizes = [len(draws) for draws, _ in self._parts]
        if sum(sizes) <= self.max_rows:
            return
        left, waiting, quota = self.max_rows, sorted(sizes), 0
        while waiting:
            quota = left // len(waiting)
            if waiting[0] > quota:
                break
            left -= waiting.pop(0)
        room = left - quota * len(waiting)
        next_draws = sorted(
            (draws[quota], number) for number, (draws, _) in enumerate(self._parts) if len(draws) > quota
        )
        luckier = {number for _, number in next_draws[:room]}
        ends = [quota + (number in luckier) for number in range(len(self._parts))]
        # Copies: a few rows of each of ten thousand series must not keep all that were given up in memory.
        self._parts = [
            (draws[:end].copy(), rows[:end].copy()) for (draws, rows), end in zip(self._parts, ends, strict=True)
        ]

    def table(self) -> FloatArray:
        """The rows kept, shape (rows, FIGURES)."""
        self._trim()
        empty = np.zeros((0, FIGURES))
        return np.concatenate([empty, *(rows for _, rows in self._parts)])

    def fit(
        self,
        version: str,
        algorithm: str = detectors.DEFAULT,
        parameters: Mapping[str, int | float] | None = None,
    ) -> Model:
        """A model of the rows kept. Raises NotEnoughHistory when they are too few."""
        table = self.table()
        if len(table) < LEAST_ROWS:
            raise NotEnoughHistory(len(table), LEAST_ROWS)
        ordinary = np.zeros((0, FIGURES))
        if self.ordinary_share:
            wanted = round(len(table) * self.ordinary_share / (1.0 - self.ordinary_share))
            ordinary = ordinary_rows()[:wanted]
        trained_on = {
            "series": self.series,
            "samples": self.samples,
            "rows": len(table),
            "ordinary_rows": len(ordinary),
            "seed": self.seed,
        }
        return fit_model(version, np.concatenate([table, ordinary]), trained_on, algorithm, parameters)

    def to_bytes(self) -> bytes:
        """What was gathered so far, to go on with later."""
        header = {
            "format": _FORMAT,
            "features": list(FEATURE_NAMES),
            "seed": self.seed,
            "max_rows": self.max_rows,
            "ordinary_share": self.ordinary_share,
            "most_of_a_series": self.most_of_a_series,
            "series": self.series,
            "samples": self.samples,
        }
        self._trim()
        draws = np.concatenate([np.zeros(0), *(draws for draws, _ in self._parts)])
        sizes = np.array([len(draws) for draws, _ in self._parts], dtype=np.int64)
        return pack(header, {"draws": draws, "rows": self.table(), "sizes": sizes})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` put away. Raises ArtifactRejected."""
        header, arrays = unpack(data)
        if header.get("format") != _FORMAT or tuple(header.get("features", ())) != FEATURE_NAMES:
            raise ArtifactRejected("the bytes are not a training set of this release")
        try:
            gathered = cls(
                int(header["seed"]),
                int(header["max_rows"]),
                float(header["ordinary_share"]),
                int(header["most_of_a_series"]),
            )
            gathered.series, gathered.samples = int(header["series"]), int(header["samples"])
            ends = np.cumsum(arrays["sizes"])[:-1]
            draws, rows = np.split(arrays["draws"], ends), np.split(arrays["rows"], ends)
        except (KeyError, TypeError, ValueError) as problem:
            raise ArtifactRejected(f"the training set is incomplete: {problem!r}") from problem
        gathered._parts = list(zip(draws, rows, strict=True)) if gathered.series else []
        return gathered


@lru_cache(maxsize=1)
def ordinary_rows() -> FloatArray:
    """Figures of generated ordinary series, shuffled; the same in every process."""
    gathered = TrainingSet(ORDINARY_SEED, max_rows=20_000, ordinary_share=0.0, most_of_a_series=_OF_A_GENERATED)
    for times, values in ordinary_series(ORDINARY_SEED):
        gathered.add(times, values)
    table = gathered.table()
    return table[np.random.default_rng(ORDINARY_SEED).permutation(len(table))]


def fit_model(
    version: str,
    rows: FloatArray,
    trained_on: Mapping[str, int],
    algorithm: str = detectors.DEFAULT,
    parameters: Mapping[str, int | float] | None = None,
) -> Model:
    """A model of these figures; `trained_on` says where they come from, its `seed` is the one used."""
    detector = detectors.create(algorithm, **(parameters or {}))
    detector.fit(rows, trained_on["seed"])
    return Model(
        version=version,
        algorithm=algorithm,
        parameters=detector.parameters,
        feature_names=FEATURE_NAMES,
        detector=detector,
        trained_on=trained_on,
        library_versions={name: library_version(name) for name in _LIBRARIES},
    )
