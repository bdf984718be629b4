"""How good is a model?  Faults are put into the end of each history, and the model is to find them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.artifact import Model
from ml.detectors.base import FloatArray
from ml.errors import NotEnoughHistory
from ml.faults import FAULTS, spread_of
from ml.scoring import Unscored, score_batch
from ml.threshold import DEFAULT_POLICY, Policy

LEAST_SAMPLES = 200
HELD_BACK = 0.3
SHORTEST_FAULT, LONGEST_FAULT = 12, 36
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


def evaluate(
    model: Model, histories: Sequence[TimesAndValues], seed: int, policy: Policy = DEFAULT_POLICY
) -> Evaluation:
    """Put each kind of fault into the last 30 % of each history, score it causally, and sum up.

    The model should not have been trained on that part. Histories of fewer than 200 samples are passed over.
    Raises NotEnoughHistory when none is left.
    """
    areas, precisions = [], []
    found: dict[str, list[bool]] = {kind: [] for kind in FAULTS}
    alarms, weeks, used = 0, 0.0, 0
    for number, (times, values) in enumerate(histories):
        if len(times) < LEAST_SAMPLES:
            continue
        used += 1
        cut = int(len(times) * (1.0 - HELD_BACK))
        memory = score_batch(model, [Unscored(times[:cut], values[:cut])], policy)[0].memory
        late, tail = times[cut:], np.asarray(values[cut:], dtype=np.float64)
        (clean,) = score_batch(model, [Unscored(late, values[cut:], memory)], policy)
        alarms += len(clean.anomalies)
        weeks += (late[-1] - late[0]) / WEEK_S
        spread = spread_of(np.asarray(values[:cut], dtype=np.float64))
        for kind, (name, fault) in enumerate(FAULTS.items()):
            rng = np.random.default_rng([seed, number, kind])
            length = int(rng.integers(SHORTEST_FAULT, LONGEST_FAULT))
            start = int(rng.integers(0, len(tail) - length))
            faulty, hit = tail.copy(), slice(start, start + length)
            faulty[hit] = fault(rng, tail[hit], spread)
            end = start + length  # what comes later tells nothing of this fault
            (batch,) = score_batch(model, [Unscored(late[:end], faulty[:end].tolist(), memory)], policy)
            scores = np.array(batch.scores)
            labels = faulty[:end] != tail[:end]
            if labels.any() and not labels.all():
                areas.append(auroc(labels, scores))
                precisions.append(average_precision(labels, scores))
            if labels.any():
                found[name].append(any(start <= anomaly.sample < end for anomaly in batch.anomalies))
    if not used:
        raise NotEnoughHistory(max((len(times) for times, _ in histories), default=0), LEAST_SAMPLES)
    hits = [hit for kind_hits in found.values() for hit in kind_hits]
    return Evaluation(
        histories=used,
        faults=len(hits),
        auroc=_mean(areas),
        average_precision=_mean(precisions),
        detection_rate=_mean(hits),
        detected={name: _mean(kind_hits) for name, kind_hits in found.items()},
        false_alarms_per_week=alarms / weeks,
    )


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


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
