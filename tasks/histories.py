"""Which histories are learnt from, and which is a model measured on?

How far back they reach is a time, since warm-up and features are times: as far for a series with a sample a second as
for one with a sample a minute. What all series together may take is a number of samples; where these come fast, fewer
series do.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from math import inf, isfinite

from db.queries import anomaly_feedback, history
from db.queries.anomaly_feedback import Labelled
from ml.counters import growth
from ml.counters import judged as judged_growth
from ml.evaluate import LEAST_KNOWN_S, TimesAndValues, is_long_enough
from ml.verdicts import Judged, Verdict
from sensus import times
from tasks import counters
from tasks.base import SensusTask
from tasks.long_work import Window

# The features look a week back, and the day of the warm-up comes before.
REACH = timedelta(days=9)
# Rows of one statement.
PAGE = 20_000
EVALUATED_SERIES, EVALUATED_SAMPLES, EVALUATED_IN_ALL = 24, 8_000, 1_500_000
# Of what people said the newest; the history before it, so that a model knows the series by then.
MOST_VERDICTS = 200
JUDGED_SERIES, JUDGED_SAMPLES, JUDGED_IN_ALL = 50, 12_000, 750_000
# Nothing is asked of a model about the first days of a history, in which it would still warm up.
WARM_UP = timedelta(days=2)
RECENT_SERIES, RECENT_IN_ALL = 150, 1_500_000


def of_series(task: SensusTask, series_id: int, since: datetime, until: datetime, *, at_least: int) -> TimesAndValues:
    """Times (epoch seconds) and values of the newest samples of a series in [since, until); those that are numbers.

    Oldest first. So many where there are, and all of the nine days before the newest one; `at_least` is 1 or more. Of a
    counter the values are its growth per second, as they are judged.
    """
    seconds, values = array("d"), array("d")
    begin, before, wanted = since, until, at_least
    newest = None
    while begin < before:
        limit = min(wanted, PAGE) if wanted > 0 else PAGE
        with task.transaction() as session:
            rows = history.newest_samples(session, series_id, since=begin, until=before, limit=limit)
        usable = [(times.to_epoch(at), value) for at, value in reversed(rows) if isfinite(value)]
        seconds.extend(second for second, _ in usable)
        values.extend(value for _, value in usable)
        if len(rows) < limit:
            break
        newest = newest or rows[-1][0]
        before = rows[0][0]
        wanted -= len(rows)
        if wanted <= 0:
            begin = max(since, newest - REACH)
    seconds.reverse()
    values.reverse()
    with task.transaction() as session:
        is_counter = bool(counters.among(session, [history.metric_name(session, series_id)]))
    return judged_growth(seconds, growth(seconds, values)) if is_counter else (seconds, values)


def evaluated(task: SensusTask, window: Window) -> list[TimesAndValues]:
    """Recent histories of a few series that are long enough, the same ones for the same seed."""
    found: list[TimesAndValues] = []
    known_before = window.until - timedelta(seconds=LEAST_KNOWN_S)
    with task.transaction() as session:
        places = history.series_in_order(session, window.seed, since=window.since, limit=5 * EVALUATED_SERIES)
        old = history.with_samples(
            session, [place.series_id for place in places], since=window.since, until=known_before
        )
    for place in places:
        if len(found) == EVALUATED_SERIES or _samples_in(found) >= EVALUATED_IN_ALL:
            break
        if place.series_id in old:
            one = of_series(task, place.series_id, window.since, window.until, at_least=EVALUATED_SAMPLES)
            if is_long_enough(one[0]):
                found.append(one)
    return found


def recent(task: SensusTask, window: Window) -> Iterator[TimesAndValues]:
    """The last nine days of many series, one after the other; the same ones for the same seed."""
    since = max(window.since, window.until - REACH)
    with task.transaction() as session:
        places = history.series_in_order(session, window.seed, since=since, limit=RECENT_SERIES)
    read = 0
    for place in places:
        if read >= RECENT_IN_ALL:
            return
        one = of_series(task, place.series_id, since, window.until, at_least=1)
        read += len(one[0])
        yield one


def judged(task: SensusTask, window: Window) -> list[Judged]:
    """Histories of series with samples that people judged, and what they said; the newest verdicts."""
    with task.transaction() as session:
        said = anomaly_feedback.labelled(session, since=window.since + WARM_UP, until=window.until, limit=MOST_VERDICTS)
    by_series = {key: list(part) for key, part in groupby(sorted(said, key=_by_series), key=lambda one: one.series_id)}
    newest = sorted(by_series, key=lambda series_id: by_series[series_id][-1].at, reverse=True)[:JUDGED_SERIES]
    found: list[Judged] = []
    for series_id in newest:
        if _samples_in((one.times, one.values) for one in found) >= JUDGED_IN_ALL:
            break
        found.append(_judged(task, window, series_id, by_series[series_id]))
    return found


def _judged(task: SensusTask, window: Window, series_id: int, said: Sequence[Labelled]) -> Judged:
    # What comes after the last judged sample can't change what is said of it, but for the hour in which it is near.
    until = min(window.until, said[-1].at + timedelta(hours=2))
    seconds, values = of_series(task, series_id, window.since, until, at_least=JUDGED_SAMPLES)
    verdicts = [Verdict(times.to_epoch(one.at), one.is_real) for one in said]
    # A model that does not know the series yet could page for nothing, whatever it is worth.
    asked_from = seconds[0] + WARM_UP.total_seconds() if seconds else inf
    return Judged(seconds, values, [verdict for verdict in verdicts if verdict.time >= asked_from])


def _samples_in(histories: Iterable[TimesAndValues]) -> int:
    return sum(len(seconds) for seconds, _ in histories)


def _by_series(one: Labelled) -> tuple[int, datetime]:
    return one.series_id, one.at
