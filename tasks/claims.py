"""What a worker had at hand when it stopped or died goes on at once, not when the leases end."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from db.queries import leases
from db.queries.leases import Released
from db.session import Database
from sensus import logs, settings
from tasks import signatures
from tasks.app import app

log = logs.get_logger(__name__)

_SERIES_A_MESSAGE = 500


class Claims(bootsteps.StartStopStep):
    """Frees what the former worker of this name left behind, and at an orderly stop what this one leaves.

    It starts when there are processes and before any message is taken, and stops when the processes have ended.
    A name is a queue and a host, so several hosts on one database don't touch each other's claims.
    """

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        # Whatever ended the former one may lie in these very rows, so they keep their count.
        free(str(parent.hostname), blameless=False)

    def stop(self, parent: Any) -> None:
        free(str(parent.hostname), blameless=True)

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


def free(holder: str, *, blameless: bool) -> None:
    """Let go of the claims of this worker and knock for them; when that fails, the leases end by themselves."""
    try:
        released = _released(holder, blameless=blameless)
        if released.count:
            log.info("claims_let_go", worker=holder, count=released.count, orderly=blameless)
            _knock(released)
    except Exception as error:
        log.warning("claims_not_let_go", worker=holder, error=type(error).__name__)


def _released(holder: str, *, blameless: bool) -> Released:
    # Opened for this alone: the processes that are forked later must not inherit a connection.
    database = Database(settings.current().require_unpooled_url(), application=f"sensus-{holder}", backoff_s=())
    try:
        with database.transaction() as session:
            return leases.release(session, holder, blameless=blameless)
    finally:
        database.close()


def _knock(released: Released) -> None:
    signatures.analyse(analysis_ids=released.analyses)
    for start in range(0, len(released.series), _SERIES_A_MESSAGE):
        signatures.score_series(series_ids=released.series[start : start + _SERIES_A_MESSAGE])
    for run_id, kind in released.runs:
        (signatures.train if kind == "train" else signatures.evaluate)(run_id=run_id)


app.steps["worker"].add(Claims)
