"""What did a worker have that works no more?  Its claims are let go of, for others to take at once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Released:
    """What waits again."""

    analyses: tuple[int, ...]
    series: tuple[int, ...]
    runs: tuple[tuple[uuid.UUID, str], ...]  # with their kinds
    notifications: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many claims it were."""
        return len(self.analyses) + len(self.series) + len(self.runs) + len(self.notifications)


_ANALYSES = """
    UPDATE ai_analysis_results
    SET lease_until = NULL, claimed_by = NULL,
        failures = CASE WHEN :blameless THEN greatest(failures - 1, 0) ELSE failures END
    WHERE claimed_by = :holder RETURNING id
    """
# Locked in the order of ids, as ingest locks them: two that lock in different orders wait for each other for ever.
_SERIES = """
    WITH held AS (SELECT series_id FROM series_progress WHERE claimed_by = :holder ORDER BY series_id FOR UPDATE)
    UPDATE series_progress p
    SET lease_until = NULL, claimed_by = NULL,
        failures = CASE WHEN :blameless THEN greatest(failures - 1, 0) ELSE failures END
    FROM held WHERE p.series_id = held.series_id AND p.claimed_by = :holder RETURNING p.series_id
    """
# Of a run the attempts since its last progress are counted.
_RUNS = """
    UPDATE task_runs
    SET lease_until = NULL, claimed_by = NULL,
        progress = CASE WHEN :blameless THEN progress || jsonb_build_object('attempt', attempt) ELSE progress END
    WHERE claimed_by = :holder RETURNING id, kind
    """

_NOTIFICATIONS = """
    UPDATE notifications SET lease_until = NULL, claimed_by = NULL
    WHERE status = 'waiting' AND claimed_by = :holder RETURNING id
    """


def release(session: Session, holder: str, *, blameless: bool) -> Released:
    """Let go of every claim of the worker with this name.

    `blameless` when it was asked to stop, so that the claims don't count as failures. Should one of its processes live
    on against all expectation, it may still finish: until somebody else claims the row, its attempt is the last.
    """
    given = {"holder": holder, "blameless": blameless}
    return Released(
        analyses=tuple(session.scalars(text(_ANALYSES), given)),
        series=tuple(session.scalars(text(_SERIES), given)),
        notifications=tuple(session.scalars(text(_NOTIFICATIONS), given)),
        runs=tuple((run_id, kind) for run_id, kind in session.execute(text(_RUNS), given)),
    )
