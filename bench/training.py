"""What does the nightly training of so many series take, in time of the processor and in memory?"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from bench.figures import Figure
from bench.rounds import Say
from ml.training import TrainingSet

STEP_S = 300.0
_BEGAN = 1_700_006_400.0


def measure(sizes: tuple[int, ...], days: int, algorithm: str, say: Say) -> Iterator[Figure]:
    """Train on so many series with a sample each five minutes for so many days, each size in a process of its own.

    Reading them from the database is left out. One core is used; `peak_mb` is the most memory the process had.
    """
    for series in sizes:
        say(f"train_{series}: {series:,} series of {days} days")
        # A fresh process: the memory that it had most is that of this training.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            spent_s, gathered_s, peak_mb = pool.submit(_train, series, days, algorithm).result()
        yield Figure(
            f"train_{series}",
            spent_s,
            "s",
            {
                "series": series,
                "samples": series * int(days * 86_400 / STEP_S),
                "gather_s": gathered_s,
                "peak_mb": peak_mb,
                "detector": algorithm,
            },
        )


def _train(series: int, days: int, algorithm: str) -> tuple[float, float, float]:
    rng = np.random.default_rng(series)
    times = _BEGAN + np.arange(0, days * 86_400, STEP_S)
    wave = 10.0 * np.sin(2.0 * np.pi * times / 86_400)
    gathered = TrainingSet(seed=1)
    spent_s = 0.0
    for _ in range(series):
        values = rng.uniform(20, 80) + wave * rng.random() + rng.standard_normal(len(times))
        seconds, samples = times.tolist(), values.tolist()
        began = time.process_time()
        gathered.add(seconds, samples)
        spent_s += time.process_time() - began
    began = time.process_time()
    gathered.fit("bench", algorithm)
    fitted_s = time.process_time() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return spent_s + fitted_s, spent_s, peak_mb
