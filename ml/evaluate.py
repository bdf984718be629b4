"""How good is a model?  Faults are put into the end of each history, and the model is to find them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.artifact import Model
from ml.chunked import score_in_chunks
from ml.detectors.base import FloatArray
from ml.errors import NotEnoughHistory
from ml.injection import KINDS, Injected, inject, spread_of
from ml.memory import Memory, with_rings
from ml.scoring import Scored, Unscored, score_batch
from ml.threshold import DEFAULT_POLICY, Policy

LEAST_SAMPLES = 250
# A model is measured on the last part of a history: a day of it, and so many samples at least and at most, yet no more
# than this share.
HELD_BACK, HELD_BACK_S = 0.3, 86_400.0
LEAST_HELD_BACK, MOST_HELD_BACK = 2_400, 8_000
# What lies before it lets the model know the series: the day of the warm-up, and as long again twice.
LEAST_KNOWN_S = 3 * 86_400.0
WEEK_S = 604_800.0
_TOO_SHORT = (
    f"no series has {LEAST_SAMPLES} samples, and {LEAST_KNOWN_S / 86_400.0:.0f} days of them before those that a model"
    " is measured on"
)

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
    """The last part of a history as it was, once for each fault put into it, and what is remembered before it."""

    times: Sequence[float]
    values: FloatArray
    faulty: list[Injected]  # in the order in which they begin
    memory: Memory


@dataclass(slots=True)
class _Answer:
    """What a model says of a held-back part: of the whole as it was, and of each fault put into it."""

    scores: list[float] = field(default_factory=list)
    anomalies: int = 0
    faulty: list[Scored] = field(default_factory=list)  # from the beginning of the fault on


def evaluate(
    model: Model, histories: Sequence[TimesAndValues], seed: int, policy: Policy = DEFAULT_POLICY
) -> Evaluation:
    """Put each kind of fault into the part of each history that is held back, score it causally, and sum up.

    The model should not have been trained on that part. Histories that are too short (see `is_long_enough`) are passed
    over. Raises NotEnoughHistory when none is left.
    """
    usable = [history for history in histories if is_long_enough(history[0])]
    if not usable:
        longest = max((len(times) for times, _ in histories), default=0)
        raise NotEnoughHistory(longest, LEAST_SAMPLES, _TOO_SHORT)
    parts = _held_back(model, usable, seed, policy)
    return _summed_up(list(zip(parts, _answers(model, parts, policy), strict=True)))


def held_back_from(times: Sequence[float]) -> int:
    """Where the part of a history begins that a model is measured on, and may not learn from.

    A longer history with the same end holds back at least as much.
    """
    samples = len(times)
    if not samples:
        return 0
    of_a_day = samples - bisect_left(times, times[-1] - HELD_BACK_S)
    return max(int(samples * (1.0 - HELD_BACK)), samples - min(max(of_a_day, LEAST_HELD_BACK), MOST_HELD_BACK))


def is_long_enough(times: Sequence[float]) -> bool:
    """Whether a model can be measured on the end of this history: by then it knows the series."""
    return len(times) >= LEAST_SAMPLES and times[held_back_from(times)] - times[0] >= LEAST_KNOWN_S


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


def _held_back(model: Model, histories: Sequence[TimesAndValues], seed: int, policy: Policy) -> list[_HeldBack]:
    cuts = [held_back_from(times) for times, _ in histories]
    heads = [Unscored(times[:cut], values[:cut]) for (times, values), cut in zip(histories, cuts, strict=True)]
    memories = {chunk.series: chunk.memory for chunk in score_in_chunks(model, heads, policy)}
    parts = []
    for number, ((times, values), cut, head) in enumerate(zip(histories, cuts, heads, strict=True)):
        rest = np.array(values[cut:], dtype=np.float64)
        faulty = inject(rest, spread_of(np.asarray(head.values, dtype=np.float64)), [seed, number])
        parts.append(_HeldBack(times[cut:], rest, sorted(faulty, key=lambda one: one.start), memories[number]))
    return parts


def _answers(model: Model, parts: Sequence[_HeldBack], policy: Policy) -> list[_Answer]:
    """What the model says.  A fault is scored from what is remembered where it begins: before it all is as it was."""
    answers = [_Answer() for _ in parts]
    memories = [part.memory for part in parts]
    faulty: list[Unscored] = []
    for turn in range(len(KINDS) + 1):
        asked = []
        for part, memory in zip(parts, memories, strict=True):
            edges = [0, *(fault.start for fault in part.faulty), len(part.times)]
            stretch = slice(edges[turn], edges[turn + 1])
            asked.append(Unscored(part.times[stretch], part.values[stretch].tolist(), memory))
        for number, scored in enumerate(score_batch(model, asked, policy)):
            answers[number].scores += scored.scores
            answers[number].anomalies += len(scored.anomalies)
            memories[number] = with_rings(scored.memory, memories[number])
        if turn < len(KINDS):
            faulty += [
                _from_its_beginning(part, part.faulty[turn], memory)
                for part, memory in zip(parts, memories, strict=True)
            ]
    for number, scored in enumerate(score_batch(model, faulty, policy)):
        answers[number % len(parts)].faulty.append(scored)
    return answers


def _from_its_beginning(part: _HeldBack, fault: Injected, memory: Memory) -> Unscored:
    return Unscored(part.times[fault.start : len(fault.values)], fault.values[fault.start :].tolist(), memory)


def _summed_up(answers: Sequence[tuple[_HeldBack, _Answer]]) -> Evaluation:
    areas, precisions = [], []
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for part, answer in answers:
        for fault, scored in zip(part.faulty, answer.faulty, strict=True):
            labels = fault.values != part.values[: len(fault.values)]
            if not labels.any():
                continue  # the series stood still anyway
            found[fault.kind].append(bool(scored.anomalies))
            if not labels.all():
                scores = np.array([*answer.scores[: fault.start], *scored.scores])
                areas.append(auroc(labels, scores))
                precisions.append(average_precision(labels, scores))
    hits = [hit for hits_of_kind in found.values() for hit in hits_of_kind]
    weeks = sum(part.times[-1] - part.times[0] for part, _ in answers) / WEEK_S
    return Evaluation(
        histories=len(answers),
        faults=len(hits),
        auroc=_mean(areas),
        average_precision=_mean(precisions),
        detection_rate=_mean(hits),
        detected={kind: _mean(hits_of_kind) for kind, hits_of_kind in found.items()},
        false_alarms_per_week=sum(answer.anomalies for _, answer in answers) / weeks,
    )


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
