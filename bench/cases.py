"""What is sent, what a bare program makes of the same, and how what was kept is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bench.load import Answer, Shards
from bench.stack import BenchStack, Connection


class Case(Protocol):
    """One way of sending, measured by itself.  Each call of `shards` gives what was never sent before."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    def shards(self, seconds: float) -> Shards:
        """More requests than any server here can answer in so many seconds."""

    def acknowledged(self, answers: Sequence[Answer]) -> int:
        """The items that these answers say are kept."""

    def kept(self, connection: Connection) -> int:
        """The items of this case that the database has."""

    def empty(self, connection: Connection) -> None:
        """Remove what was kept, so that each round begins with an empty table."""

    def bare(self, stack: BenchStack, shards: Shards, seconds: float) -> dict[str, float]:
        """Items a second of the bare way, by the name of each ratio to it; `ratio_to_bare` is one."""
