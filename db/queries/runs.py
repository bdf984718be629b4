"""Long work that beat or a person asked for: who may start it, who has it, how far it is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import and_, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from db.models.model_version import TaskRun

Kind = Literal["train", "evaluate"]
# Whoever starts a run holds this lock, so that two can't both see that none is unfinished.
_START_LOCK = 0x53656E73_0002
# A run that was claimed so often without an end kills its worker; it must not come back for ever.
MOST_ATTEMPTS_WITHOUT_PROGRESS = 5
_UNFINISHED = TaskRun.state.in_(("pending", "running"))


@dataclass(frozen=True, slots=True)
class RunClaim:
    """A run that this worker has until the lease ends."""

    id: uuid.UUID
    kind: str
    attempt: int
    created_at: datetime
    progress: Mapping[str, Any]
    checkpoint: bytes | None


def start(session: Session, kind: Kind, *, requested_by: str, request_id: str | None) -> tuple[uuid.UUID, bool]:
    """The run of this kind that is unfinished, else a new one; and whether it is new."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _START_LOCK})
    there = session.scalar(
        select(TaskRun.id).where(_UNFINISHED, TaskRun.kind == kind).order_by(TaskRun.created_at).limit(1)
    )
    if there is not None:
        return there, False
    run = TaskRun(id=uuid.uuid4(), kind=kind, requested_by=requested_by, request_id=request_id)
    session.add(run)
    session.flush()
    return run.id, True


def claim(
    session: Session, run_id: uuid.UUID, kind: Kind, *, lease_s: float, holder: str | None = None
) -> RunClaim | None:
    """Take a run that nobody has, for the worker named `holder`.

    None when somebody has it, it is over, or it was given up just now.
    """
    free = or_(TaskRun.lease_until.is_(None), TaskRun.lease_until < func.now())
    row = session.execute(
        update(TaskRun)
        .where(TaskRun.id == run_id, TaskRun.kind == kind, _UNFINISHED, free)
        .values(
            state="running",
            attempt=TaskRun.attempt + 1,
            lease_until=func.now() + timedelta(seconds=lease_s),
            claimed_by=holder,
            started_at=func.coalesce(TaskRun.started_at, func.now()),
        )
        .returning(TaskRun.id, TaskRun.kind, TaskRun.attempt, TaskRun.created_at, TaskRun.progress, TaskRun.checkpoint)
    ).one_or_none()
    if row is None:
        return None
    claimed = RunClaim(*row)
    if claimed.attempt - int(claimed.progress.get("attempt", 0)) > MOST_ATTEMPTS_WITHOUT_PROGRESS:
        fail(session, claimed, "its worker died in it again and again")
        return None
    return claimed


def keep_progress(
    session: Session,
    claimed: RunClaim,
    progress: Mapping[str, Any],
    *,
    checkpoint: bytes | None = None,
    lease_s: float | None,
) -> bool:
    """Store how far the run is, with a longer lease, or none to let go of it; False when the claim was lost."""
    return _change(
        session,
        claimed,
        progress={**progress, "attempt": claimed.attempt},
        lease_until=None if lease_s is None else func.now() + timedelta(seconds=lease_s),
        **({"claimed_by": None} if lease_s is None else {}),
        **({} if checkpoint is None else {"checkpoint": checkpoint}),
    )


def let_go(session: Session, claimed: RunClaim) -> bool:
    """Let somebody else go on from the last progress; False when the claim was lost."""
    return _change(session, claimed, lease_until=None, claimed_by=None)


def finish(session: Session, claimed: RunClaim, result: Mapping[str, Any]) -> bool:
    """The run is done; False when the claim was lost."""
    return _change(
        session,
        claimed,
        state="done",
        result=dict(result),
        checkpoint=None,
        lease_until=None,
        claimed_by=None,
        finished_at=func.now(),
    )


def fail(session: Session, claimed: RunClaim, error: str) -> bool:
    """The run failed for good, for this reason in one line; False when the claim was lost."""
    return _change(
        session,
        claimed,
        state="failed",
        error=error,
        checkpoint=None,
        lease_until=None,
        claimed_by=None,
        finished_at=func.now(),
    )


def waiting(session: Session) -> list[tuple[uuid.UUID, str]]:
    """Runs that nobody has at present, oldest first."""
    free = or_(TaskRun.lease_until.is_(None), TaskRun.lease_until < func.now())
    rows = session.execute(select(TaskRun.id, TaskRun.kind).where(_UNFINISHED, free).order_by(TaskRun.created_at))
    return [(run_id, kind) for run_id, kind in rows]


def find(session: Session, run_id: uuid.UUID) -> TaskRun | None:
    """The run, without its half-finished work."""
    return session.get(TaskRun, run_id)


def forget_old(session: Session, *, days: int) -> int:
    """Delete runs that ended so long ago."""
    old = and_(~_UNFINISHED, TaskRun.created_at < func.now() - timedelta(days=days))
    return len(session.execute(delete(TaskRun).where(old).returning(TaskRun.id)).all())


def _change(session: Session, claimed: RunClaim, **values: Any) -> bool:
    row = session.execute(
        update(TaskRun)
        .where(TaskRun.id == claimed.id, TaskRun.attempt == claimed.attempt, TaskRun.state == "running")
        .values(**values)
        .returning(TaskRun.id)
    ).one_or_none()
    return row is not None
