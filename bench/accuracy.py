"""How well do both streams find what people labelled, on suites of series in files?

A suite is a folder with `labels.json` ({"group/series.csv": [["first", "last"], ...]}) and the series it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.figures import Figure
from bench.rounds import Say
from ml.artifact import Model
from ml.evaluate import average_precision
from ml.scoring import Unscored, score_batch
from ml.threshold import DEFAULT_POLICY
from sensus import times
from sensus.errors import ConfigurationError
from tasks import replay

WEEK_S = 604_800.0
# So much of a series is not judged, but at most so many rows: a detector must learn first.
_LEARNING_SHARE, _LEARNING_ROWS = 0.15, 750
# Alarms closer together than this are one event.
_ONE_EVENT_S = 3_600.0

Windows = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What came of one series."""

    precision: float | None  # of the score stream; None without labels
    windows: int
    found: int
    false_alarms: int
    weeks: float


def measure(suites: Path, model: Model, say: Say) -> Iterator[Figure]:
    """Each suite under the folder: precision of the score stream, windows found and false alarms of the alert stream.

    One set of parameters and one threshold for all series, causal, never retrained.
    Raises ConfigurationError when there is no suite.
    """
    folders = sorted(labels.parent for labels in suites.glob("*/labels.json"))
    if not folders:
        raise ConfigurationError(f"--suites {suites} has no folder with a labels.json")
    for folder in folders:
        say(f"accuracy_{folder.name}: {model.version}")
        judged = [_judge(folder / name, windows, model) for name, windows in _labels(folder)]
        precisions = [one.precision for one in judged if one.precision is not None]
        yield Figure(
            f"accuracy_{folder.name}",
            float(np.mean(precisions)) if precisions else 0.0,
            "average precision",
            {
                "series": len(judged),
                "windows": sum(one.windows for one in judged),
                "windows_found": sum(one.found for one in judged),
                "false_alarms_per_week": sum(one.false_alarms for one in judged) / sum(one.weeks for one in judged),
                "detector": model.algorithm,
            },
        )


def _labels(folder: Path) -> Iterator[tuple[str, Windows]]:
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    for name, windows in sorted(labels.items()):
        yield name, [(times.to_epoch(times.parse(first)), times.to_epoch(times.parse(last))) for first, last in windows]


def _judge(file: Path, windows: Windows, model: Model) -> _Judged:
    at, values = _samples(file)
    (found,) = score_batch(model, [Unscored(at.tolist(), values)])
    start = min(int(len(at) * _LEARNING_SHARE), _LEARNING_ROWS)
    labelled = _within(at, windows)
    scores = np.array(found.scores)
    late = labelled[start:]
    alarms = at[np.array(found.alerts) >= DEFAULT_POLICY.threshold]
    alarms = alarms[alarms >= at[start]]
    judged = [window for window in windows if window[1] >= at[start]]
    return _Judged(
        precision=average_precision(late, scores[start:]) if late.any() else None,
        windows=len(judged),
        found=sum(bool(((alarms >= first) & (alarms <= last)).any()) for first, last in judged),
        false_alarms=_events(alarms[~_within(alarms, windows)]),
        weeks=float(at[-1] - at[start]) / WEEK_S,
    )


def _samples(file: Path) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Times and values that are scored: those with a value that are later than all before them."""
    at: list[float] = []
    values: list[float] = []
    for row in replay.read(file):
        if isfinite(row.value) and (not at or row.at_s > at[-1]):
            at.append(row.at_s)
            values.append(row.value)
    return np.array(at), values


def _within(at: npt.NDArray[np.float64], windows: Sequence[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(len(at), dtype=np.bool_)
    for first, last in windows:
        inside |= (at >= first) & (at <= last)
    return inside


def _events(alarms: npt.NDArray[np.float64]) -> int:
    return int((np.diff(alarms, prepend=-np.inf) > _ONE_EVENT_S).sum())
