"""Of which anomalies is an Alertmanager to be told, which of them are over, and which alerts are ours?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from db import direct
from db.direct import Within
from db.models.analysis import ANOMALY

# Of an anomaly that is so young people are told even when it is over; of an older one only while it lasts.
YOUNG = timedelta(minutes=10)
# What was found later than this, after an outage of the scorers for one, is history.
LOOKED_BACK = timedelta(hours=2)
PORTION = 2_000
# A sample below this score is ordinary, though what it follows may still be in the memory of the features.
CALM_BELOW = 0.5
CALM_SAMPLES = 2
# Values that stay where they were strange are expected soon, and are a trouble still; for so long after the last
# anomaly they are not calm, whatever their score. After that it is the new usual.
NEW_USUAL_AFTER = timedelta(minutes=30)
# A series without samples for so long, and for three of its steps, says nothing of a trouble that may go on.
SILENT = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Strange:
    """A series with an anomaly of which nobody was told."""

    series_id: int
    metric_name: str
    labels: Mapping[str, str]
    at: datetime
    score: float
    data: Mapping[str, Any]  # as `analysis_data` has it


@dataclass(frozen=True, slots=True)
class AsAlert:
    """An anomaly as an alert."""

    anomaly: Strange
    fingerprint: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be told now: that it fires, or when it ended."""

    id: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None  # None: it fires, or is to be seen firing for a little longer


def new_anomalies(session: Session) -> list[Strange]:
    """The newest anomaly of each series that has one of which nobody was told."""
    rows = session.execute(
        _NEW,
        {
            "looked_back": LOOKED_BACK,
            "young": YOUNG,
            "most": PORTION,
            "calm_below": CALM_BELOW,
            "calm_samples": CALM_SAMPLES,
            "new_usual_after": NEW_USUAL_AFTER,
            "silent": SILENT,
        },
    )
    return [Strange(*row) for row in rows]


def fire(session: Session, found: Iterable[AsAlert]) -> list[int]:
    """Note that these fire: a new alert for each series that has none; the ids of the new ones."""
    rows = [
        {
            "series_id": one.anomaly.series_id,
            "fingerprint": one.fingerprint,
            "labels": one.labels,
            "annotations": one.annotations,
            "at": one.anomaly.at,
            **_expected(one.anomaly.data),
            "per_second": bool(one.anomaly.data.get("per_second")),
        }
        for one in found
    ]
    if not rows:
        return []
    stored = direct.execute(session, _FIRE, {"rows": msgspec.json.encode(rows).decode()})
    return [id_ for id_, is_new in stored if is_new]


def end_calm(session: Session) -> list[int]:
    """Note the end of what is calm again, or says nothing any more; the ids."""
    given = {
        "calm_below": CALM_BELOW,
        "calm_samples": CALM_SAMPLES,
        "new_usual_after": NEW_USUAL_AFTER,
        "silent": SILENT,
    }
    return list(session.scalars(_END, given))


def due(session: Session, *, refresh_s: float, least_life_s: float) -> list[Due]:
    """What is to be told now.

    Each alert is told as firing for `least_life_s` at least, so that those who wait a little before they notify see
    it; what nobody could be told of in time is let go.
    """
    session.execute(_LET_GO, {"young": YOUNG})
    rows = session.execute(
        _DUE,
        {
            "refresh": timedelta(seconds=refresh_s),
            "least_life": timedelta(seconds=least_life_s),
            "most": PORTION,
        },
    )
    return [Due(*row) for row in rows]


def note_told(session: Session, ids: Sequence[int], *, at: datetime, until: datetime) -> None:
    """Remember that the Alertmanager takes these to fire until then."""
    session.execute(_TOLD, {"ids": list(ids), "at": at, "until": until})


def note_end_told(session: Session, ids: Sequence[int], *, at: datetime) -> None:
    """Remember that the Alertmanager knows the end of these."""
    session.execute(_END_TOLD, {"ids": list(ids), "at": at})


def ours(within: Within, fingerprints: Collection[str]) -> frozenset[str]:
    """Which of these alerts we told of ourselves."""
    if not fingerprints:
        return frozenset()
    rows = direct.execute(within, _OURS, {"fingerprints": sorted(fingerprints)})
    return frozenset(fingerprint for (fingerprint,) in rows)


def _expected(data: Mapping[str, Any]) -> dict[str, float | None]:
    """Where the sample was expected, when it was not there: such an anomaly is over when the values are back."""
    value, low, high = data.get("value"), data.get("expected_low"), data.get("expected_high")
    is_outside = value is not None and not ((low is None or low <= value) and (high is None or value <= high))
    return {"low": low, "high": high} if is_outside else {"low": None, "high": None}


# Of `a`, an anomaly. A score may fall slowly, for the features remember an hour; so a sample that is where it was
# expected is calm, whatever its score.
_IS_CALM = """
    CASE WHEN a.expected_low IS NULL AND a.expected_high IS NULL THEN score < :calm_below
    ELSE value BETWEEN COALESCE(a.expected_low, '-infinity') AND COALESCE(a.expected_high, 'infinity')
        OR (score < :calm_below AND timestamp > a.newest_at + :new_usual_after)
    END
"""
# Of a counter what was judged is its growth since the sample before; where it began anew, there was nothing to judge.
_FIGURES = """
    (
        SELECT series_id, timestamp, score, CASE WHEN a.per_second THEN growth ELSE value END AS value
        FROM scores JOIN samples s USING (series_id, timestamp)
        LEFT JOIN LATERAL (
            SELECT (s.value - earlier.value) / extract(epoch FROM s.timestamp - earlier.timestamp) AS growth
            FROM samples earlier
            WHERE a.per_second AND earlier.series_id = a.series_id AND earlier.timestamp < s.timestamp
              AND earlier.value <> 'NaN'
            ORDER BY earlier.timestamp DESC LIMIT 1
        ) since ON true
        WHERE series_id = a.series_id AND timestamp > a.newest_at AND NOT (a.per_second AND growth < 0)
    ) figures_of
    WHERE series_id = a.series_id AND timestamp > a.newest_at
"""
_NEWEST = f"""
    CROSS JOIN LATERAL (
        SELECT count(*) = :calm_samples AND bool_and(is_calm) AS is_calm FROM (
            SELECT {_IS_CALM} AS is_calm FROM {_FIGURES}
            ORDER BY timestamp DESC LIMIT :calm_samples
        ) newest
    ) figures
    CROSS JOIN LATERAL (
        SELECT COALESCE(max(timestamp) + GREATEST(:silent, 3 * (max(timestamp) - min(timestamp))) < now(), true)
            AS is_silent
        FROM (
            SELECT timestamp FROM samples WHERE series_id = a.series_id ORDER BY timestamp DESC LIMIT 2
        ) newest
    ) arrivals
"""  # noqa: S608 (only constants of this module are put together)
_NEW = text(
    f"""
    WITH found AS MATERIALIZED (
        SELECT DISTINCT ON (r.series_id) r.series_id, r.sample_at AS newest_at, r.score, r.analysis_data,
            CAST(r.analysis_data ->> 'expected_low' AS double precision) AS expected_low,
            CAST(r.analysis_data ->> 'expected_high' AS double precision) AS expected_high,
            COALESCE(CAST(r.analysis_data ->> 'per_second' AS boolean), false) AS per_second
        FROM ai_analysis_results r
        LEFT JOIN LATERAL (
            SELECT newest_at FROM anomaly_alerts WHERE series_id = r.series_id ORDER BY id DESC LIMIT 1
        ) known ON true
        WHERE r.analysis_type = '{ANOMALY}' AND r.sample_at > now() - :looked_back
          AND (known.newest_at IS NULL OR r.sample_at > known.newest_at)
        ORDER BY r.series_id, r.sample_at DESC
    )
    SELECT a.series_id, s.metric_name, s.labels, a.newest_at, a.score, a.analysis_data
    FROM found a JOIN series s ON s.id = a.series_id {_NEWEST}
    WHERE a.newest_at > now() - :young OR NOT (COALESCE(is_calm, false) OR is_silent)
    ORDER BY a.newest_at LIMIT :most
    """  # noqa: S608 (only constants of this module are put together)
)
_FIRE = """
    INSERT INTO anomaly_alerts AS known
        (series_id, fingerprint, labels, annotations, starts_at, newest_at, expected_low, expected_high, per_second)
    SELECT series_id, fingerprint, labels, annotations, LEAST(at, now()), at, low, high, per_second
    FROM json_to_recordset(%(rows)s::json) AS r (
        series_id bigint, fingerprint text, labels jsonb, annotations jsonb, at timestamptz,
        low double precision, high double precision, per_second boolean
    )
    WHERE EXISTS (SELECT FROM series WHERE id = series_id)
    ORDER BY series_id
    ON CONFLICT (series_id) WHERE ends_at IS NULL DO UPDATE SET
        annotations = EXCLUDED.annotations, newest_at = EXCLUDED.newest_at,
        expected_low = EXCLUDED.expected_low, expected_high = EXCLUDED.expected_high,
        per_second = EXCLUDED.per_second
    RETURNING id, xmax = 0
    """
# The end is the first sample after the last strange one, and never lies ahead: an end to come would be none.
_END = text(
    f"""
    WITH over AS MATERIALIZED (
        SELECT a.id, is_calm FROM anomaly_alerts a {_NEWEST}
        WHERE a.ends_at IS NULL AND (is_calm OR is_silent)
        ORDER BY a.id FOR UPDATE OF a SKIP LOCKED
    )
    UPDATE anomaly_alerts a SET ends_at = CASE WHEN over.is_calm THEN LEAST(now(), GREATEST(a.starts_at, (
        SELECT min(timestamp) FROM {_FIGURES} AND timestamp > COALESCE(
            (SELECT max(timestamp) FROM {_FIGURES} AND NOT {_IS_CALM}), a.newest_at
        )
    ))) ELSE now() END
    FROM over WHERE a.id = over.id RETURNING a.id
    """  # noqa: S608 (only constants of this module are put together)
)
# An end that could not be told is known to the Alertmanager by its own time limit.
_LET_GO = text(
    """
    UPDATE anomaly_alerts SET end_told_at = now()
    WHERE end_told_at IS NULL AND ends_at IS NOT NULL
      AND (told_until < now() OR (first_told_at IS NULL AND ends_at < now() - :young))
    """
)
_DUE = text(
    """
    SELECT id, labels, annotations, starts_at,
        CASE WHEN first_told_at <= now() - :least_life THEN ends_at END
    FROM anomaly_alerts
    WHERE end_told_at IS NULL
      AND (told_at IS NULL OR told_at <= now() - :refresh
           OR (ends_at IS NOT NULL AND first_told_at <= now() - :least_life))
    ORDER BY id LIMIT :most
    """
)
_TOLD = text(
    """
    UPDATE anomaly_alerts SET first_told_at = COALESCE(first_told_at, :at), told_at = :at, told_until = :until
    WHERE id = ANY(CAST(:ids AS bigint[]))
    """
)
_END_TOLD = text(
    "UPDATE anomaly_alerts SET end_told_at = :at WHERE id = ANY(CAST(:ids AS bigint[])) AND ends_at IS NOT NULL"
)
_OURS = "SELECT DISTINCT fingerprint FROM anomaly_alerts WHERE fingerprint = ANY(%(fingerprints)s::text[])"
