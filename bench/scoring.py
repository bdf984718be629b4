"""How many samples does a core score in a second, features included, and what does a series cost to remember?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from math import sin, tau

import numpy as np

from bench.figures import Figure
from bench.rounds import Say
from ml.artifact import Model
from ml.memory import Memory, with_rings
from ml.scoring import Unscored, score_batch

SERIES = (1, 100, 10_000)
STEP_S = 300.0
_BEGAN = 1_700_006_400.0
_KNOWN_DAYS = 2
# Of twelve batches one ends an hour, and so many of one sample are enough.
_LEAST_BATCHES, _MOST_BATCHES = 12, 3_000


def measure(model: Model, samples: int, say: Say) -> Iterator[Figure]:
    """For so many series each, about `samples` samples: one of each series a batch, as a scrape brings them.

    The clock is the processor's, so that what else the machine does costs nothing.
    """
    known = _known(model)
    for series in SERIES:
        rounds = min(max(samples // series, _LEAST_BATCHES), _MOST_BATCHES)
        say(f"score_{series}: {rounds} batches of {series:,} series, {model.version}")
        memories: list[Memory] = [known] * series
        rng = np.random.default_rng(series)
        spent = 0.0
        for turn in range(1, rounds + 1):
            at = _BEGAN + _KNOWN_DAYS * 86_400 + turn * STEP_S
            values = (50.0 + rng.standard_normal(series)).tolist()
            batch = [Unscored([at], [value], memory) for value, memory in zip(values, memories, strict=True)]
            began = time.process_time()
            results = score_batch(model, batch)
            spent += time.process_time() - began
            memories = [with_rings(new.memory, old) for new, old in zip(results, memories, strict=True)]
        yield Figure(
            f"score_{series}",
            series * rounds / spent,
            "samples/s/core",
            {"series": series, "batches": rounds, "detector": model.algorithm, "state_bytes": _bytes(memories)},
        )


def _known(model: Model) -> Memory:
    """The memory of a series of two days."""
    rng = np.random.default_rng(0)
    count = int(_KNOWN_DAYS * 86_400 / STEP_S) + 1
    times = [_BEGAN + place * STEP_S for place in range(count)]
    values = [
        50.0 + 10.0 * sin(tau * at / 86_400) + push for at, push in zip(times, rng.normal(size=count), strict=True)
    ]
    return score_batch(model, [Unscored(times, [float(value) for value in values])])[0].memory


def _bytes(memories: Sequence[Memory]) -> int:
    """What the largest memory of a series takes."""
    return max(len(one.hot) + len(one.rings or b"") for one in memories)
