"""How is long work claimed and told?  Its progress is a row, one piece runs at a time, a lost claim keeps nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import exclusive
from db.queries import runs
from db.queries.runs import RunClaim
from ml.errors import NotEnoughHistory
from sensus import logs
from tasks.base import SensusTask, may_pass

log = logs.get_logger(__name__)

# A run whose worker died waits for the end of the lease.
LEASE_S = 150.0
BEAT = "system:beat"


class ClaimLost(Exception):
    """Another worker has this run; nothing of ours is kept."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Window:
    """What history a run looks at."""

    since: datetime
    until: datetime
    seed: int


def start(task: SensusTask, kind: runs.Kind, knock: Callable[..., None]) -> None:
    """Beat's wish for a run, unless one of its kind is under way."""
    with task.transaction() as session:
        run_id, is_new = runs.start(session, kind, requested_by=BEAT, request_id=logs.bound_request_id())
    if is_new:
        knock(run_id=run_id)


@contextmanager
def claimed(task: SensusTask, run_id: str, kind: runs.Kind) -> Iterator[RunClaim | None]:
    """The claim of this run for the block.

    None when somebody has it, or is at other long work: one process is kept free for what can't wait, and the sweep
    finds the run when that is done.
    """
    with exclusive.alone(task.database, exclusive.LONG_WORK) as is_alone:
        if not is_alone:
            log.info("run_waits", run_id=run_id, kind=kind)
            yield None
            return
        with task.transaction() as session:
            claim = runs.claim(session, uuid.UUID(run_id), kind, lease_s=LEASE_S, holder=task.holder)
        if claim is None:
            yield None
            return
        with _told(task, claim):
            yield claim


def held(done: bool) -> None:
    """Raises ClaimLost unless what was to be stored was stored."""
    if not done:
        raise ClaimLost


def window_of(task: SensusTask, claim: RunClaim) -> Window:
    """The days before the run was asked for; the same one and the same seed for each portion of it."""
    days = task.settings.training_days
    return Window(claim.created_at - timedelta(days=days), claim.created_at, seed=claim.created_at.toordinal())


def request_id() -> str:
    """The id of the request that led here."""
    return logs.bound_request_id() or logs.new_request_id()


@contextmanager
def _told(task: SensusTask, claim: RunClaim) -> Iterator[None]:
    """What goes wrong in the block is written into the row of the run."""
    try:
        yield
    except ClaimLost:
        log.info("run_claim_lost", run_id=str(claim.id))
    except NotEnoughHistory as shortage:
        result = {"outcome": "not_enough_history", "samples": shortage.rows, "needed": shortage.needed}
        with task.transaction() as session:
            runs.finish(session, claim, {**result, "reason": str(shortage)})
        log.info("run_done", run_id=str(claim.id), kind=claim.kind, **result)
    except Exception as error:
        with task.transaction() as session:
            if may_pass(error):
                runs.let_go(session, claim)
            else:
                runs.fail(session, claim, f"{type(error).__name__}: see the log for request {request_id()}")
        raise
