"""How good is a model?  Faults are put into the end of each history, and the model is to find them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.artifact import Model
from ml.detectors.base import FloatArray
from ml.errors import NotEnoughHistory
from ml.injection import KINDS, Injected, inject, spread_of
from ml.scoring import Scored, Unscored, score_batch
from ml.threshold import DEFAULT_POLICY, Policy

LEAST_SAMPLES = 250
HELD_BACK = 0.3
WEEK_S = 604_800.0

TimesAndValues = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well faults were told from ordinary samples."""

    histories: int  # that were long enough
    faults: int
    auroc: float  # of the score stream, mean over the faults
    average_precision: float  # the same
    detection_rate: float  # share of the faults with an anomaly in them
    detected: dict[str, float]  # the same for each kind of fault
    false_alarms_per_week: float  # anomalies in a week of a series without a fault put into it

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _HeldBack:
    """The last part of a history as it was, and once for each fault put into it."""

    times: Sequence[float]
    values: FloatArray
    faulty: list[Injected]


def evaluate(
    model: Model, histories: Sequence[TimesAndValues], seed: int, policy: Policy = DEFAULT_POLICY
) -> Evaluation:
    """Put each kind of fault into the last 30 % of each history, score it causally, and sum up.

    The model should not have been trained on that part. Histories of fewer than 250 samples are passed over.
    Raises NotEnoughHistory when none is left.
    """
    usable = [history for history in histories if len(history[0]) >= LEAST_SAMPLES]
    if not usable:
        raise NotEnoughHistory(max((len(times) for times, _ in histories), default=0), LEAST_SAMPLES)
    cuts = [held_back_from(len(times)) for times, _ in usable]
    heads = [Unscored(times[:cut], values[:cut]) for (times, values), cut in zip(usable, cuts, strict=True)]
    memories = [scored.memory for scored in score_batch(model, heads, policy)]
    parts = [
        _held_back(history, cut, [seed, number]) for number, (history, cut) in enumerate(zip(usable, cuts, strict=True))
    ]
    asked: list[Unscored] = []
    for part, memory in zip(parts, memories, strict=True):
        asked.append(Unscored(part.times, part.values.tolist(), memory))
        asked += [Unscored(part.times[: len(one.values)], one.values.tolist(), memory) for one in part.faulty]
    answers = iter(score_batch(model, asked, policy))
    return _summed_up([(part, next(answers), [next(answers) for _ in part.faulty]) for part in parts])


def held_back_from(samples: int) -> int:
    """Where the part of a history begins that a model is measured on, and may not learn from."""
    return int(samples * (1.0 - HELD_BACK))


def auroc(labels: npt.NDArray[np.bool_], scores: FloatArray) -> float:
    """Probability that a labelled row scores above an unlabelled one; ties count half."""
    ordinary = np.sort(scores[~labels])
    strange = scores[labels]
    below = np.searchsorted(ordinary, strange, side="left") + np.searchsorted(ordinary, strange, side="right")
    return float(below.sum() / (2.0 * len(ordinary) * len(strange)))


def average_precision(labels: npt.NDArray[np.bool_], scores: FloatArray) -> float:
    """Area under the step precision-recall curve; equal scores count together."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    precision, recall = (hits / np.arange(1, len(hits) + 1))[last], hits[last] / hits[-1]
    return float(np.sum(np.diff(np.append(0.0, recall)) * precision))


def _held_back(history: TimesAndValues, cut: int, seed: Sequence[int]) -> _HeldBack:
    times, values = history[0][cut:], np.asarray(history[1][cut:], dtype=np.float64)
    return _HeldBack(times, values, inject(values, spread_of(np.asarray(history[1][:cut], dtype=np.float64)), seed))


def _summed_up(answers: Sequence[tuple[_HeldBack, Scored, list[Scored]]]) -> Evaluation:
    areas, precisions = [], []
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for part, _, faulty in answers:
        for fault, scored in zip(part.faulty, faulty, strict=True):
            labels = fault.values != part.values[: len(fault.values)]
            if not labels.any():
                continue  # the series stood still anyway
            found[fault.kind].append(any(anomaly.sample >= fault.start for anomaly in scored.anomalies))
            if not labels.all():
                scores = np.asarray(scored.scores)
                areas.append(auroc(labels, scores))
                precisions.append(average_precision(labels, scores))
    hits = [hit for hits_of_kind in found.values() for hit in hits_of_kind]
    weeks = sum(part.times[-1] - part.times[0] for part, _, _ in answers) / WEEK_S
    return Evaluation(
        histories=len(answers),
        faults=len(hits),
        auroc=_mean(areas),
        average_precision=_mean(precisions),
        detection_rate=_mean(hits),
        detected={kind: _mean(hits_of_kind) for kind, hits_of_kind in found.items()},
        false_alarms_per_week=sum(len(clean.anomalies) for _, clean, _ in answers) / weeks,
    )


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
