"""Which histories are learnt from, and which is a model measured on?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from math import isfinite

from db.queries import anomaly_feedback, history
from db.queries.anomaly_feedback import Labelled
from ml.evaluate import LEAST_SAMPLES, TimesAndValues, held_back_from
from ml.verdicts import Judged, Verdict
from sensus import times
from tasks.base import SensusTask
from tasks.long_work import Window

EVALUATED_SERIES = 24
EVALUATED_SAMPLES = 8_000
# Of what people said the newest; the history before it, so that a model knows the series by then.
MOST_VERDICTS = 200
JUDGED_SERIES = 50
JUDGED_SAMPLES = 12_000
# Nothing is asked of a model about the first days of a history, in which it would still warm up.
WARM_UP = timedelta(days=2)
# Enough for the figures of the last day: the features look a week back.
RECENT_SERIES = 150
RECENT_SAMPLES = 4_000
RECENT_DAYS = timedelta(days=9)

History = tuple[list[float], list[float]]


def of_series(task: SensusTask, series_id: int, since: datetime, until: datetime, limit: int) -> History:
    """Times (epoch seconds) and values of the newest samples of a series, oldest first; those that are numbers."""
    with task.transaction() as session:
        rows = history.newest_samples(session, series_id, since=since, until=until, limit=limit)
    usable = [(times.to_epoch(at), value) for at, value in rows if isfinite(value)]
    return [second for second, _ in usable], [value for _, value in usable]


def learnt(seconds: Sequence[float]) -> int:
    """How many samples of a series may be learnt from: none of those that measure the outcome."""
    measured_on = min(len(seconds), EVALUATED_SAMPLES)
    return len(seconds) - measured_on + held_back_from(measured_on)


def evaluated(task: SensusTask, window: Window) -> list[TimesAndValues]:
    """Recent histories of a few series that are long enough, the same ones for the same seed."""
    found: list[TimesAndValues] = []
    with task.transaction() as session:
        places = history.series_in_order(session, window.seed, since=window.since, limit=5 * EVALUATED_SERIES)
    for place in places:
        one = of_series(task, place.series_id, window.since, window.until, EVALUATED_SAMPLES)
        if len(one[0]) >= LEAST_SAMPLES:
            found.append(one)
        if len(found) == EVALUATED_SERIES:
            break
    return found


def recent(task: SensusTask, window: Window) -> list[TimesAndValues]:
    """The last days of many series, the same ones for the same seed."""
    since = max(window.since, window.until - RECENT_DAYS)
    with task.transaction() as session:
        places = history.series_in_order(session, window.seed, since=since, limit=RECENT_SERIES)
    return [of_series(task, place.series_id, since, window.until, RECENT_SAMPLES) for place in places]


def judged(task: SensusTask, window: Window) -> list[Judged]:
    """Histories of series with samples that people judged, and what they said; the newest verdicts."""
    with task.transaction() as session:
        said = anomaly_feedback.labelled(session, since=window.since + WARM_UP, until=window.until, limit=MOST_VERDICTS)
    by_series = {key: list(part) for key, part in groupby(sorted(said, key=_by_series), key=lambda one: one.series_id)}
    newest = sorted(by_series, key=lambda series_id: by_series[series_id][-1].at, reverse=True)[:JUDGED_SERIES]
    return [_judged(task, window, series_id, by_series[series_id]) for series_id in newest]


def _judged(task: SensusTask, window: Window, series_id: int, said: Sequence[Labelled]) -> Judged:
    # What comes after the last judged sample can't change what is said of it, but for the hour in which it is near.
    until = min(window.until, said[-1].at + timedelta(hours=2))
    seconds, values = of_series(task, series_id, window.since, until, JUDGED_SAMPLES)
    verdicts = [Verdict(times.to_epoch(one.at), one.is_real) for one in said]
    # Of a sample before those that are read no model could say anything.
    return Judged(seconds, values, [verdict for verdict in verdicts if seconds and verdict.time >= seconds[0]])


def _by_series(one: Labelled) -> tuple[int, datetime]:
    return one.series_id, one.at
