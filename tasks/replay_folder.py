"""Score a folder of series files, several at a time, and say how far it is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ml import artifact
from ml.artifact import Model
from sensus.errors import ConfigurationError, SensusError
from tasks.replay import Replayed, Retraining, replay

_TOLD_EVERY_S = 5.0
_BAR = 30


class ReplayFailed(SensusError):
    """A file could not be read or written, or a process was lost."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to score."""

    source: Path
    target: Path


def plan(source: Path, target: Path) -> list[Job]:
    """Each CSV file under `source`, with its place under `target`, the largest first.

    Raises ConfigurationError when there is none, or when the output would lie among the input.
    """
    if not source.is_dir():
        raise ConfigurationError(f"--input {source} is not a folder")
    if target.resolve().is_relative_to(source.resolve()):
        raise ConfigurationError("--output must not lie in --input: its files would be taken for series next time")
    # The largest first, so that no process works alone at the end.
    files = sorted(source.rglob("*.csv"), key=lambda file: (-file.stat().st_size, str(file)))
    if not files:
        raise ConfigurationError(f"--input {source} has no CSV file")
    return [Job(file, target / file.relative_to(source)) for file in files]


def run(jobs: Sequence[Job], model: Model, retraining: Retraining | None) -> Replayed:
    """Score all files; the sum.  Raises BadFile for the first one that is no series, and then stops."""
    total = Replayed(0, 0, 0)
    try:
        with _Progress(len(jobs)) as progress:
            for done in _results(jobs, model, retraining):
                total = Replayed(total.rows + done.rows, total.not_scored + done.not_scored, total.models + done.models)
                progress.step(total)
    except OSError as error:
        raise ReplayFailed(f"{error.filename}: {error.strerror}") from None
    except BrokenProcessPool:
        raise ReplayFailed("a process that scored was killed, often for want of memory; try again") from None
    return total


def _results(jobs: Sequence[Job], model: Model, retraining: Retraining | None) -> Iterator[Replayed]:
    processes = min(len(os.sched_getaffinity(0)), len(jobs))
    if processes == 1:
        for job in jobs:
            yield replay(job.source, job.target, model, retraining)
        return
    # Fresh processes: a forked one inherits locks that threads of the numeric libraries may hold.
    context = get_context("spawn")
    data = artifact.dump(model)
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(data, retraining)) as pool:
        futures = [pool.submit(_one, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_given: list[tuple[Model, Retraining | None]] = []


def _begin(data: bytes, retraining: Retraining | None) -> None:
    _given[:] = [(artifact.load(data, artifact.checksum(data)), retraining)]


def _one(job: Job) -> Replayed:
    model, retraining = _given[0]
    return replay(job.source, job.target, model, retraining)


class _Progress:
    """A bar on a terminal, plain lines now and then elsewhere."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._done = 0
        self._is_terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal and self._done:
            sys.stderr.write("\n")

    def step(self, total: Replayed) -> None:
        """One more file is done."""
        self._done += 1
        now = time.monotonic()
        is_last = self._done == self._files
        text = f"{self._done} of {self._files} files, {total.rows} rows"
        if self._is_terminal:
            filled = _BAR * self._done // self._files
            sys.stderr.write(f"\r[{'#' * filled}{' ' * (_BAR - filled)}] {text}")
        elif is_last or now - self._told > _TOLD_EVERY_S:
            self._told = now
            ending = f", {total.not_scored} without a score, in {now - self._began:.1f} s" if is_last else ""
            sys.stderr.write(f"scored {text}{ending}\n")
        sys.stderr.flush()
