"""Which series have samples that are not scored, who scores them, and what is kept: each sample scored once.

A claim has an attempt and a lease. `failures` counts the claims since the last success, and is raised by the claim
itself: so a series that kills its worker is counted, too.
"""

# ruff: noqa: S608 - statements are put together from constants of this module; values go in as parameters.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, TIMESTAMP, BigInteger, Double, LargeBinary, bindparam, text
from sqlalchemy.orm import Session

from db.queries import forecasts, new_scores
from db.queries.forecasts import NewForecast
from db.queries.new_scores import InShadow, NewAnomaly, NewScore

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
# From so many failures on, a series is tried once a day only.
POISONED_FAILURES = 8
_BACKOFF_S, _LONGEST_BACKOFF_S = 5.0, 3600.0

_UNSCORED = "(scored_until IS NULL OR newest_at > scored_until)"
_FREE = (
    "(lease_until IS NULL OR lease_until < now() - "
    "CASE WHEN failures >= :poisoned THEN interval '1 day' ELSE interval '0' END)"
)


@dataclass(frozen=True, slots=True)
class SeriesClaim:
    """A series that this worker scores: its samples after `after`, up to `until`, none of which is scored."""

    series_id: int
    attempt: int
    failures: int  # this claim included
    after: datetime
    until: datetime
    memory: bytes | None
    metric_name: str
    per_second: bool  # whether it is judged by its growth, as a counter is
    rings: bytes | None = None  # only where `with_rings` read them
    before: tuple[datetime, float] | None = None  # of a counter the last number before those to be judged
    # What a version in the shadow remembered, and which version that was.
    shadow_memory: bytes | None = None
    shadow_version_id: int | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of a claim: the samples in (claim.after, until] were `read`, and have these figures.

    Of the memory, `rings` are None where they stay as they are.
    """

    claim: SeriesClaim
    until: datetime
    read: int
    scores: Sequence[NewScore]
    anomalies: Sequence[NewAnomaly]
    memory: bytes | None
    rings: bytes | None
    shadow: InShadow | None = None
    forecast: NewForecast | None = None  # where an hour of the series is over
    last: tuple[datetime, float] | None = None  # of a counter the last number, which the next is to be compared with


@dataclass(frozen=True, slots=True)
class Kept:
    """Which series were kept, and which must be read again because a sample slipped in behind."""

    kept: frozenset[int]
    changed: frozenset[int]


def claim(
    session: Session, series_ids: Sequence[int], *, limit: int, lease_s: float, holder: str | None = None
) -> list[SeriesClaim]:
    """Take up to `limit` series that have unscored samples and that nobody has; of any when no ids are given.

    A series that failed before is taken alone, so that it takes nobody down with it. `holder` is the worker's name.
    """
    chosen = "AND series_id = ANY(:ids)" if series_ids else ""
    for suspects, most in ((False, limit), (True, 1)):
        rows = session.execute(
            text(
                f"""
                UPDATE series_progress p
                SET attempt = attempt + 1, failures = failures + 1, lease_until = now() + :lease,
                    claimed_by = :holder
                FROM (
                    SELECT series_id FROM series_progress
                    WHERE {_UNSCORED} AND {_FREE} AND (failures > 0) = :suspects {chosen}
                    ORDER BY newest_at DESC, series_id LIMIT :most FOR UPDATE SKIP LOCKED
                ) chosen JOIN series s ON s.id = chosen.series_id
                WHERE p.series_id = chosen.series_id
                RETURNING p.series_id, p.attempt, p.failures, p.scored_until, p.newest_at, p.memory,
                    p.counted_at, p.counted, p.shadow_memory, p.shadow_version_id, s.metric_name
                """
            ),
            {
                "lease": timedelta(seconds=lease_s),
                "holder": holder,
                "suspects": suspects,
                "most": most,
                "poisoned": POISONED_FAILURES,
                **({"ids": list(series_ids)} if series_ids else {}),
            },
        ).all()
        if rows:
            return [
                SeriesClaim(
                    row.series_id,
                    row.attempt,
                    row.failures,
                    row.scored_until or BEGINNING,
                    row.newest_at,
                    row.memory,
                    row.metric_name,
                    per_second=row.counted_at is not None,
                    before=None if row.counted_at is None else (row.counted_at, row.counted),
                    shadow_memory=row.shadow_memory,
                    shadow_version_id=row.shadow_version_id,
                )
                for row in sorted(rows, key=lambda row: row.series_id)
            ]
    return []


def may_be_claimed(session: Session, series_ids: Sequence[int]) -> bool:
    """Whether any of these has unscored samples and is free, but for a row lock perhaps."""
    query = f"SELECT EXISTS (SELECT FROM series_progress WHERE {_UNSCORED} AND {_FREE} AND series_id = ANY(:ids))"
    return bool(session.scalar(text(query), {"ids": list(series_ids), "poisoned": POISONED_FAILURES}))


def unscored_samples(
    session: Session, claims: Sequence[SeriesClaim], *, limit: int
) -> dict[int, list[tuple[datetime, float]]]:
    """Of each claim its oldest `limit` samples at most, in order of time."""
    found: dict[int, list[tuple[datetime, float]]] = {claim.series_id: [] for claim in claims}
    rows = session.execute(
        text(
            """
            SELECT c.id, s.timestamp, s.value
            FROM unnest(:ids, :lows, :highs) AS c(id, low, high)
            CROSS JOIN LATERAL (
                SELECT timestamp, value FROM samples
                WHERE series_id = c.id AND timestamp > c.low AND timestamp <= c.high
                ORDER BY timestamp LIMIT :most
            ) s
            ORDER BY c.id, s.timestamp
            """
        ).bindparams(*_windows(claims, [claim.until for claim in claims])),
        {"most": limit},
    )
    for series_id, at, value in rows:
        found[series_id].append((at, value))
    return found


def with_rings(session: Session, claims: Sequence[SeriesClaim]) -> list[SeriesClaim]:
    """The claims, with the part of their memories that few batches need."""
    rows = session.execute(
        text("SELECT series_id, rings FROM series_progress WHERE series_id = ANY(:ids)"),
        {"ids": [claim.series_id for claim in claims]},
    )
    rings = {row.series_id: row.rings for row in rows}
    return [replace(claim, rings=rings.get(claim.series_id)) for claim in claims]


def keep(session: Session, results: Sequence[Scored], *, model_version_id: int, algorithm: str) -> Kept:
    """Store scores, anomalies, forecast, memory and watermark of each series whose claim still holds.

    A series with more samples in its window than were read is `changed` and left as it is.
    """
    held = _lock(session, [result.claim.series_id for result in results])
    mine = [result for result in results if held.get(result.claim.series_id) == result.claim.attempt]
    there = _counted(session, mine)
    good = [result for result in mine if there[result.claim.series_id] <= result.read]
    if good:
        new_scores.copy(
            session, [(result.claim.series_id, result.scores, result.shadow) for result in good], model_version_id
        )
        new_scores.add_anomalies(session, [(result.claim.series_id, result.anomalies) for result in good], algorithm)
        forecasts.keep(session, [result.forecast for result in good if result.forecast is not None])
        _advance(session, good)
    kept = frozenset(result.claim.series_id for result in good)
    return Kept(kept=kept, changed=frozenset(result.claim.series_id for result in mine) - kept)


def give_back(session: Session, claims: Sequence[SeriesClaim], *, failed: bool, rest_s: float = 0.0) -> None:
    """Let go of claims: after `rest_s` when nothing was wrong, else after a pause that grows with each failure."""
    for claimed in claims:
        pause_s = min(_BACKOFF_S * 2.0 ** (claimed.failures - 1), _LONGEST_BACKOFF_S) if failed else rest_s
        session.execute(
            text(
                "UPDATE series_progress SET lease_until = now() + :pause, claimed_by = NULL, "
                "failures = CASE WHEN :failed THEN failures ELSE failures - 1 END "
                "WHERE series_id = :id AND attempt = :attempt"
            ),
            {
                "failed": failed,
                "pause": timedelta(seconds=pause_s) if pause_s else None,
                "id": claimed.series_id,
                "attempt": claimed.attempt,
            },
        )


def unscored(session: Session, *, limit: int) -> list[int]:
    """Series with unscored samples that nobody has, those with the newest samples first."""
    return list(
        session.scalars(
            text(
                f"SELECT series_id FROM series_progress WHERE {_UNSCORED} AND {_FREE} "
                "ORDER BY newest_at DESC, series_id LIMIT :most"
            ),
            {"most": limit, "poisoned": POISONED_FAILURES},
        )
    )


def _lock(session: Session, series_ids: Sequence[int]) -> dict[int, int]:
    # In the order of ids, as ingest locks them: two that lock in different orders wait for each other for ever.
    rows = session.execute(
        text(
            "SELECT series_id, attempt FROM series_progress WHERE series_id = ANY(:ids) ORDER BY series_id FOR UPDATE"
        ),
        {"ids": list(series_ids)},
    )
    return {row.series_id: row.attempt for row in rows}


def _counted(session: Session, results: Sequence[Scored]) -> dict[int, int]:
    rows = session.execute(
        text(
            """
            SELECT c.id, s.there
            FROM unnest(:ids, :lows, :highs) AS c(id, low, high)
            CROSS JOIN LATERAL (
                SELECT count(*) AS there FROM samples
                WHERE series_id = c.id AND timestamp > c.low AND timestamp <= c.high
            ) s
            """
        ).bindparams(*_windows([result.claim for result in results], [result.until for result in results]))
    )
    return {row.id: row.there for row in rows}


def _advance(session: Session, results: Sequence[Scored]) -> None:
    # What is left of a feed is newer than what is scored, hence came later; what is left of a backlog came with it.
    shadows = [result.shadow for result in results]
    lasts = [result.last for result in results]
    session.execute(
        text(
            """
            UPDATE series_progress p
            SET scored_until = u.until, unscored_since = LEAST(now(), GREATEST(p.unscored_since, u.until)),
                memory = u.memory, rings = coalesce(u.rings, p.rings),
                counted_at = u.counted_at, counted = u.counted,
                shadow_memory = u.shadow_memory, shadow_version_id = u.shadow_version,
                failures = 0, lease_until = NULL, claimed_by = NULL
            FROM unnest(:ids, :untils, :memories, :rings, :counted_at, :counted, :shadow_memories, :shadow_versions)
                AS u(id, until, memory, rings, counted_at, counted, shadow_memory, shadow_version)
            WHERE p.series_id = u.id
            """
        ).bindparams(
            bindparam("ids", [result.claim.series_id for result in results], type_=ARRAY(BigInteger)),
            bindparam("untils", [result.until for result in results], type_=ARRAY(TIMESTAMP(timezone=True))),
            bindparam("memories", [result.memory for result in results], type_=ARRAY(LargeBinary)),
            bindparam("rings", [result.rings for result in results], type_=ARRAY(LargeBinary)),
            bindparam("counted_at", [last and last[0] for last in lasts], type_=ARRAY(TIMESTAMP(timezone=True))),
            bindparam("counted", [None if last is None else last[1] for last in lasts], type_=ARRAY(Double)),
            bindparam("shadow_memories", [one and one.memory for one in shadows], type_=ARRAY(LargeBinary)),
            bindparam("shadow_versions", [one and one.version_id for one in shadows], type_=ARRAY(BigInteger)),
        )
    )


def _windows(claims: Sequence[SeriesClaim], untils: Sequence[datetime]) -> list[Any]:
    moments = ARRAY(TIMESTAMP(timezone=True))
    return [
        bindparam("ids", [claim.series_id for claim in claims], type_=ARRAY(BigInteger)),
        bindparam("lows", [claim.after for claim in claims], type_=moments),
        bindparam("highs", list(untils), type_=moments),
    ]
