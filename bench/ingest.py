"""`sensus bench ingest`: what comes in, how fast, at what cost, and is any of it lost?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bench import bare, copying, filling, reads, rounds, samples, storage
from bench.alerts import AlertsCase
from bench.cases import Case
from bench.figures import Figure
from bench.remote_write import REMOTE_WRITE
from bench.rounds import Say, Size
from bench.samples import SamplesCase
from bench.stack import BenchStack


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of everything is measured."""

    size: Size
    requests: int  # of each kind of reading
    stored: int  # samples whose bytes are counted
    filled: int  # alerts of the second database; 0 leaves it out


def cases() -> tuple[Case, ...]:
    """Every way of sending, in the order in which it is measured."""
    return (
        AlertsCase("alerts_1", 1),
        AlertsCase("alerts_50", 50),
        AlertsCase("alerts_1_repeated", 1, repeated=True),
        AlertsCase("alerts_50_repeated", 50, repeated=True),
        SamplesCase("samples_json", 500, samples.JSON),
        SamplesCase("samples_json_1000", 1000, samples.JSON),
        SamplesCase("samples_remote_write", 500, REMOTE_WRITE),
    )


def names() -> tuple[str, ...]:
    """What can be measured by itself."""
    return (*reads.NAMES, *(case.name for case in cases()), storage.NAME)


def measure(stack: BenchStack, wanted: Collection[str], extent: Extent, say: Say) -> Iterator[Figure]:
    """The wanted figures, as they come; those of the filled database follow those of the empty one."""
    with stack.api.connect() as connection:
        for statement in bare.TABLES:
            connection.execute(statement)
        copying.make_table(connection)
    if stack.filled is not None:
        filling.fill(stack, stack.filled, extent.filled, say)
    # Reading comes first, while there are few alerts.
    yield from reads.measure(stack, [name for name in reads.NAMES if name in wanted], extent.requests, say)
    for case in cases():
        if case.name in wanted:
            yield from rounds.measure(stack, case, extent.size, say)
    if storage.NAME in wanted:
        yield storage.measure(stack, extent.stored, say)
