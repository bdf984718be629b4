"""Score series that stand in CSV files, row by row and causally, by the same code as the worker; needs no server."""

from __future__ import annotations

import csv
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, isfinite, nan
from pathlib import Path

from ml.artifact import Model
from ml.counters import growth, is_counter, judged, partner_of
from ml.errors import NotEnoughHistory
from ml.evaluate import held_back_from
from ml.memory import Memory, with_rings
from ml.scoring import Unscored, score_batch
from ml.training import TrainingSet
from sensus import times
from sensus.errors import SensusError
from tasks.retraining import compare

HEADER = ("timestamp", "score", "alert")
RETRAINED_AT_HOUR = 2
NOTHING = (0.0, 0.0)
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
DAY_S = 86_400.0


class BadFile(SensusError):
    """A file is not a series; the message names file and row."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its timestamp as it was written, as seconds, and the value, NaN where there is none."""

    written: str
    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Retraining:
    """How often a replay retrains: each night on so many days, as the workers do."""

    days: int
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of one file."""

    rows: int
    not_scored: int  # without a value, behind a later row, or of a counter's growth that is not known
    models: int  # that came into force on the way


def replay(source: Path, target: Path, model: Model, retraining: Retraining | None) -> Replayed:
    """Score a file and write `timestamp,score,alert`, the same rows in the same order.

    Each figure depends on its row and earlier rows only.  A row without a value (empty, NaN or infinite) is no
    sample: it gets 0 and 0, and so does a row that is older than one before it, since the worker stores such a
    sample and doesn't score it.  A file whose name is that of a counter is judged by its growth, as the worker does; a
    row whose growth is not known gets 0 and 0.  At a repeated timestamp the first value counts, and later rows repeat
    its figures.
    Raises BadFile; then nothing is written.
    """
    rows = list(read(source))
    series = _Series(model, retraining, per_second=_is_of_a_counter(source))
    figures = series.score(rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    half_done = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with half_done.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            # repr is the shortest text that reads back as the same number, so equality can be checked to the digit.
            writer.writerows(
                (row.written, repr(score), repr(alert)) for row, (score, alert) in zip(rows, figures, strict=True)
            )
        half_done.replace(target)
    finally:
        half_done.unlink(missing_ok=True)
    return Replayed(len(rows), series.not_scored, series.models)


def read(source: Path) -> Iterator[Row]:
    """The rows of a series file.  Raises BadFile."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            header = [name.strip().lower() for name in next(reader, [])]
            try:
                time_column, value_column = header.index("timestamp"), header.index("value")
            except ValueError:
                raise BadFile(f"{source}: the first line must be `timestamp,value`") from None
            for number, cells in enumerate(reader, start=2):
                if cells:
                    yield _row(source, number, cells, time_column, value_column)
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadFile(f"{source}: not a CSV file in UTF-8 ({error})") from None


def _is_of_a_counter(source: Path) -> bool:
    partner = partner_of(_metric_name(source))
    others = {_metric_name(file) for file in source.parent.glob("*.csv")} if partner else frozenset[str]()
    return is_counter(_metric_name(source), others)


def _metric_name(file: Path) -> str:
    """The name of a metric that the file's name begins with, such as `jobs_total` of `jobs_total{queue="a"}.csv`."""
    name = _METRIC_NAME.match(file.stem)
    return name.group() if name else ""


def _row(source: Path, number: int, cells: Sequence[str], time_column: int, value_column: int) -> Row:
    try:
        written, text = cells[time_column], cells[value_column].strip()
        return Row(written, times.to_epoch(times.parse(written)), float(text) if text else nan)
    except IndexError:
        raise BadFile(f"{source}, row {number}: has {len(cells)} cells, too few") from None
    except times.BadTime as error:
        raise BadFile(f"{source}, row {number}: {error}") from None
    except ValueError:
        raise BadFile(f"{source}, row {number}: the value {cells[value_column][:40]!r} is not a number") from None


class _Series:
    """The replay of one series: its watermark, its memory and the model in force."""

    def __init__(self, model: Model, retraining: Retraining | None, *, per_second: bool) -> None:
        self.models = 0
        self.not_scored = 0
        self._model = model
        self._retraining = retraining
        self._per_second = per_second
        self._memory: Memory | None = None
        self._known: dict[float, tuple[float, float]] = {}
        self._seconds: list[float] = []
        self._values: list[float] = []

    def score(self, rows: Sequence[Row]) -> list[tuple[float, float]]:
        """Score and alert figure of each row."""
        self._select(rows)
        start = 0
        if self._retraining is not None:
            for night_s in self._nights():
                end = bisect_left(self._seconds, night_s)
                self._score_part(start, end)
                self._retrain(night_s, end, self._retraining)
                start = end
        self._score_part(start, len(self._seconds))
        found = [self._known.get(row.at_s) if isfinite(row.value) else None for row in rows]
        self.not_scored = sum(1 for figures in found if figures is None)
        return [figures or NOTHING for figures in found]

    def _select(self, rows: Sequence[Row]) -> None:
        """The samples that are judged: those with a value that are later than all before them.

        Of a counter they are those whose growth is known, and that is their value.
        """
        watermark_s = -float("inf")
        for row in rows:
            if isfinite(row.value) and row.at_s > watermark_s:
                watermark_s = row.at_s
                self._seconds.append(row.at_s)
                self._values.append(row.value)
        if self._per_second:
            self._seconds, self._values = judged(self._seconds, growth(self._seconds, self._values))

    def _score_part(self, start: int, end: int) -> None:
        seconds = self._seconds[start:end]
        (scored,) = score_batch(self._model, [Unscored(seconds, self._values[start:end], self._memory)])
        self._memory = with_rings(scored.memory, self._memory)
        self._known.update(zip(seconds, zip(scored.scores, scored.alerts, strict=True), strict=True))

    def _nights(self) -> Iterator[float]:
        """Each 02:00 UTC, in the data's own time, that has samples after it; only the last one of a gap."""
        for before_s, after_s in pairwise(self._seconds):
            night_s = _last_night(after_s)
            if before_s < night_s:
                yield night_s

    def _retrain(self, night_s: float, end: int, retraining: Retraining) -> None:
        since_s = night_s - retraining.days * DAY_S
        start = bisect_left(self._seconds, since_s)
        seconds, values = self._seconds[start:end], self._values[start:end]
        learnt = held_back_from(seconds)
        gathered = TrainingSet(retraining.seed)
        gathered.add(seconds[:learnt], values[:learnt])
        try:
            candidate = gathered.fit(
                f"{self._model.algorithm}-{night_s:.0f}", self._model.algorithm, self._model.parameters
            )
            better = compare(candidate, self._model, [(seconds, values)], retraining.seed).is_no_worse
        except NotEnoughHistory:
            return  # the model stays the same until there is enough to learn from
        if better:
            self._model = candidate
            self.models += 1


def _last_night(at_s: float) -> float:
    into_the_day_s = RETRAINED_AT_HOUR * 3600.0
    return floor((at_s - into_the_day_s) / DAY_S) * DAY_S + into_the_day_s
