"""How does one way of sending fare, beside the bare way and on a filled database?  Round by round, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench import load
from bench.cases import Case
from bench.figures import Figure, percentile
from bench.load import Shards
from bench.stack import Api, BenchStack

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds of each way in turn, so that noise of the machine hits all of them."""

    rounds: int
    seconds: float  # of each way in each round
    warm_up_s: float


@dataclass(slots=True)
class _Tally:
    """What came of a case on one API."""

    api: Api
    empties: bool  # whether each round begins with empty tables
    rates: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    measured: int = 0  # items of the rounds, without those of the warm-up
    acknowledged: int = 0
    kept: int = 0
    app_s: float = 0.0
    database_s: float = 0.0
    redis_s: float = 0.0
    loader_s: float = 0.0

    def warm_up(self, case: Case, shards: Shards, seconds: float) -> None:
        """Meet the series, fill the caches; what is acknowledged counts as everything else."""
        burst = load.send(self.api.target(case.path, case.headers), shards, seconds=seconds)
        self.acknowledged += case.acknowledged(burst.answers)
        self._count(case)

    def round(self, stack: BenchStack, case: Case, shards: Shards, seconds: float) -> None:
        """One burst, with what it cost."""
        before = stack.cpu(self.api.name)
        burst = load.send(self.api.target(case.path, case.headers), shards, seconds=seconds)
        spent = stack.cpu(self.api.name).since(before)
        self.rates.append(burst.items / burst.seconds)
        self.took_s += [answer.took_s for answer in burst.answers]
        self.measured += burst.items
        self.app_s += spent.app
        self.database_s += spent.database
        self.redis_s += spent.redis
        self.loader_s += burst.loader_cpu_s
        self.acknowledged += case.acknowledged(burst.answers)
        self._count(case)

    def _count(self, case: Case) -> None:
        with self.api.connect() as connection:
            if self.empties:
                self.kept += case.kept(connection)
                case.empty(connection)
            else:
                self.kept = case.kept(connection)

    def facts(self) -> dict[str, object]:
        """The fields that every line of this kind has."""
        spent = self.app_s + self.database_s + self.redis_s + self.loader_s
        return {
            "lost": self.acknowledged - self.kept,
            "acknowledged": self.acknowledged,
            "requests": len(self.took_s),
            **{f"p{share}_ms": percentile(self.took_s, share / 100) * 1000 for share in (50, 95, 99)},
            "app_cpu_ms_per_item": self.app_s * 1000 / self.measured,
            "database_cpu_ms_per_item": self.database_s * 1000 / self.measured,
            "redis_cpu_ms_per_item": self.redis_s * 1000 / self.measured,
            "loader_cpu_share": self.loader_s / spent if spent else 0.0,
        }


def measure(stack: BenchStack, case: Case, size: Size, say: Say) -> Iterator[Figure]:
    """The case on empty tables, with its ratio to the bare way; then on filled ones, if there are such."""
    say(f"{case.name}: warming up")
    empty = _Tally(stack.api, empties=True)
    filled = None if stack.filled is None else _Tally(stack.filled, empties=False)
    shards = case.shards(size.warm_up_s)
    for tally in (empty, filled):
        if tally is not None:
            tally.warm_up(case, shards, size.warm_up_s)
    case.bare(stack, shards, size.warm_up_s)
    bare: list[dict[str, float]] = []
    for number in range(size.rounds):
        shards = case.shards(size.seconds)
        bare.append(case.bare(stack, shards, size.seconds))
        empty.round(stack, case, shards, size.seconds)
        told = f"{empty.rates[-1]:,.0f} {case.unit}, bare {bare[-1]['ratio_to_bare']:,.0f}"
        if filled is not None:
            filled.round(stack, case, shards, size.seconds)
            told += f", filled {filled.rates[-1]:,.0f}"
        say(f"{case.name}: round {number + 1} of {size.rounds}: {told}")
    ratios = {name: _ratio(empty.rates, [rates[name] for rates in bare]) for name in bare[0]}
    bare_rate = median(rates["ratio_to_bare"] for rates in bare)
    yield Figure(case.name, median(empty.rates), case.unit, {**ratios, "bare": bare_rate, **empty.facts()})
    if filled is not None:
        to_empty = {"ratio_to_empty": _ratio(filled.rates, empty.rates)}
        yield Figure(f"{case.name}_filled", median(filled.rates), case.unit, {**to_empty, **filled.facts()})


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    # Of each round by itself: what slowed the machine down in one round slowed down both.
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
