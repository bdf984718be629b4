"""What came of scoring lately: how samples were rated, how often they paged, and what a challenger says of the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models.sample import STATE_CODES, SeriesProgress
from db.queries.models import VersionKey

# Columns of the distribution of scores, which are from 0 to 1.
BINS = 20


@dataclass(frozen=True, slots=True)
class Rated:
    """How samples of several series were rated since a time: all that were warm."""

    counts: tuple[int, ...]  # by score: `BINS` columns of equal width from 0 to 1
    alarms: int
    series: int
    seconds: float  # from the first to the last sample of each series, together


@dataclass(frozen=True, slots=True)
class Beside:
    """Live samples that two versions scored, and how many of them each would page for."""

    samples: int
    challenger_alarms: int
    champion_alarms: int


def rated(session: Session, series_ids: Sequence[int], *, since: datetime, threshold: float) -> Rated:
    """How the samples of these series were rated since then; `threshold` is the alert figure that pages."""
    row = session.execute(
        text(
            f"""
            WITH rows AS (
                SELECT series_id, timestamp, score, alert FROM scores
                WHERE series_id = ANY(:ids) AND timestamp >= :since AND state = {STATE_CODES["scoring"]}
            ), spans AS (
                SELECT count(*) AS series, coalesce(sum(span), 0) AS seconds FROM (
                    SELECT extract(epoch FROM max(timestamp) - min(timestamp)) AS span FROM rows GROUP BY series_id
                ) of_series
            ), bins AS (
                SELECT least(greatest(width_bucket(score, 0, 1, {BINS}), 1), {BINS}) AS bin, count(*) AS count
                FROM rows GROUP BY 1
            )
            SELECT (SELECT count(*) FROM rows WHERE alert >= :threshold) AS alarms, spans.series, spans.seconds,
                ARRAY(
                    SELECT coalesce(bins.count, 0) FROM generate_series(1, {BINS}) AS n LEFT JOIN bins ON bins.bin = n
                    ORDER BY n
                ) AS counts
            FROM spans
            """  # noqa: S608 - constants of ours
        ),
        {"ids": list(series_ids), "since": since, "threshold": threshold},
    ).one()
    return Rated(tuple(row.counts), row.alarms, row.series, float(row.seconds))


def shadowed(session: Session, challenger: VersionKey, champion: VersionKey) -> list[int]:
    """Series that one of these versions scores in the shadow of the other."""
    in_shadow = SeriesProgress.shadow_version_id.in_((challenger.id, champion.id))
    return list(session.scalars(select(SeriesProgress.series_id).where(in_shadow).order_by(SeriesProgress.series_id)))


def beside(
    session: Session,
    series_ids: Sequence[int],
    challenger: VersionKey,
    champion: VersionKey,
    *,
    since: datetime,
    threshold: float,
) -> Beside:
    """Samples of these series since then that both versions scored, whichever of them in the shadow of the other."""
    row = session.execute(
        text(
            """
            SELECT count(*) AS samples,
                count(*) FILTER (WHERE
                    CASE WHEN h.model_version_id = :challenger THEN h.alert ELSE s.alert END >= :threshold
                ) AS challenger_alarms,
                count(*) FILTER (WHERE
                    CASE WHEN h.model_version_id = :challenger THEN s.alert ELSE h.alert END >= :threshold
                ) AS champion_alarms
            FROM shadow_scores h JOIN scores s USING (series_id, timestamp)
            WHERE h.series_id = ANY(:ids) AND s.series_id = ANY(:ids)
                AND h.timestamp >= :since AND s.timestamp >= :since
                AND (h.model_version_id, s.model_version_id)
                    IN ((:challenger, :champion), (:champion, :challenger))
            """
        ),
        {
            "ids": list(series_ids),
            "challenger": challenger.id,
            "champion": champion.id,
            "since": since,
            "threshold": threshold,
        },
    ).one()
    return Beside(row.samples, row.challenger_alarms, row.champion_alarms)
