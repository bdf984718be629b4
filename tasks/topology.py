"""Learn who calls whom and what runs where, from the labels of series and from the service graphs of traces."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy.orm import Session

from db.queries import series_reads, topology
from db.queries.series_reads import SeriesFound
from db.queries.topology import Edge, Source
from llm import learnt_calls
from sensus import logs, metrics, times
from sensus.settings import Settings
from tasks.app import app
from tasks.base import SensusTask

log = logs.get_logger(__name__)

SERIES_A_PAGE = 5_000
# What came in the last look may have been missed by it, as a transaction may commit late.
NEW_FOR = timedelta(minutes=5)
ALIVE_FOR = timedelta(hours=1)
# An edge that was seen less long ago than this is not written again.
_NEWS = timedelta(minutes=30)
_FORGOTTEN_A_RUN = 5_000
_BUDGET_S = 120.0


@app.task(base=SensusTask, bind=True)
def learn(self: SensusTask) -> None:
    """Look at the series that are new."""
    with self.transaction() as session:
        newest = series_reads.newest(session, limit=SERIES_A_PAGE, since=times.now() - NEW_FOR)
        _learn(session, newest, self.settings)


@app.task(base=SensusTask, bind=True)
def refresh(self: SensusTask) -> None:
    """Look at every series that is alive, and forget what nobody has seen for as long as samples are kept."""
    until = time.monotonic() + _BUDGET_S
    after = 0
    while time.monotonic() < until:
        with self.transaction() as session:
            page = series_reads.alive(session, after=after, limit=SERIES_A_PAGE, since=times.now() - ALIVE_FOR)
            _learn(session, page, self.settings)
        if len(page) < SERIES_A_PAGE:
            break
        after = page[-1].id
    with self.transaction() as session:
        topology.forget(session, days=self.settings.retention_days, limit=_FORGOTTEN_A_RUN)


def _learn(session: Session, series: Iterable[SeriesFound], settings: Settings) -> None:
    found: dict[Source, set[Edge]] = defaultdict(set)
    pairs = (*settings.topology_labels, *learnt_calls.PAIRS)
    for one in series:
        for told in learnt_calls.told_by(one.metric_name, one.labels, pairs, settings.service_labels):
            found[told.source].add(Edge(told.caller, told.callee, told.kind))
    for source, edges in found.items():
        new = topology.store(session, sorted(edges), source=source, news=_NEWS)
        if new:
            metrics.topology_edges.labels(source).inc(new)
            log.info("topology_learnt", source=source, new=new)
