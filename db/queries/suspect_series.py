"""Which series belong to these places, and what were their samples around an incident?  Bounded, whatever is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.queries.sample_reads import MEAN


@dataclass(frozen=True, slots=True)
class SeriesOfPlace:
    """One series that a label ties to a place."""

    id: int
    metric_name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Binned:
    """A series' samples as means of equal spans of time: Unix seconds at their beginning, and the values."""

    series_id: int
    times: Sequence[float]
    values: Sequence[float]


# What Prometheus writes of its own alerts: that one fires explains no alert.
_OF_ALERTS = ("ALERTS", "ALERTS_FOR_STATE")
# One look-up in the index of labels for each pair of a label and a value.
_SERIES = text(
    """
    SELECT DISTINCT ON (s.id) s.id, s.metric_name, s.labels
    FROM json_to_recordset(:wanted) AS wanted (place integer, labels jsonb)
    CROSS JOIN LATERAL (
        SELECT id, metric_name, labels FROM series WHERE series.labels @> wanted.labels LIMIT :each
    ) s
    JOIN series_progress p ON p.series_id = s.id AND p.newest_at >= :since
    WHERE s.metric_name <> ALL(:of_alerts)
    ORDER BY s.id LIMIT :limit
    """
)
_SAMPLES = text(
    f"""
    SELECT wanted.id, array_agg(found.bin ORDER BY found.bin), array_agg(found.mean ORDER BY found.bin)
    FROM unnest(CAST(:ids AS bigint[])) AS wanted (id) CROSS JOIN LATERAL (
        SELECT floor(extract(epoch FROM timestamp) / :step) * :step AS bin, {MEAN} AS mean
        FROM samples WHERE series_id = wanted.id AND timestamp >= :since AND timestamp < :until
        GROUP BY bin
    ) found
    GROUP BY wanted.id ORDER BY wanted.id
    """  # noqa: S608 (only constants of this module and its neighbour are put together)
)


def of_places(
    session: Session, labels: Iterable[tuple[str, str]], *, since: datetime, limit: int
) -> list[SeriesOfPlace]:
    """Up to `limit` series that have one of these labels with that value, and a sample since then."""
    wanted = [{"place": place, "labels": {name: value}} for place, (name, value) in enumerate(labels)]
    given = {"wanted": msgspec.json.encode(wanted).decode(), "since": since, "limit": limit, "each": limit}
    given["of_alerts"] = list(_OF_ALERTS)
    return [SeriesOfPlace(*row) for row in session.execute(_SERIES, given)]


def samples(
    session: Session, series_ids: Sequence[int], *, since: datetime, until: datetime, step_s: float
) -> list[Binned]:
    """The samples of these series in [since, until), each span of `step_s` seconds as its mean."""
    given = {"ids": list(series_ids), "since": since, "until": until, "step": step_s}
    return [Binned(*row) for row in session.execute(_SAMPLES, given)]
