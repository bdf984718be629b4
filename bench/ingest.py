"""`sensus bench ingest`: what comes in, how fast, at what cost, and is any of it lost?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench import bare, copying, load
from bench.alerts import AlertsCase
from bench.cases import Case
from bench.figures import Figure, percentile
from bench.load import Burst, Target
from bench.samples import JsonSamplesCase
from bench.stack import Api, BenchStack, CpuSeconds

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds of ours and of the bare way in turn, so that noise of the machine hits both."""

    rounds: int
    seconds: float  # of each way in each round
    warm_up_s: float


@dataclass(slots=True)
class _Tally:
    """What came of one case on one API."""

    rates: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    items: int = 0
    acknowledged: int = 0
    app_s: float = 0.0
    database_s: float = 0.0
    redis_s: float = 0.0
    loader_s: float = 0.0

    def add(self, burst: Burst, spent: CpuSeconds) -> None:
        self.rates.append(burst.items / burst.seconds)
        self.took_s += [answer.took_s for answer in burst.answers]
        self.items += burst.items
        self.app_s += spent.app
        self.database_s += spent.database
        self.redis_s += spent.redis
        self.loader_s += burst.loader_cpu_s


def cases() -> tuple[Case, ...]:
    """Every way of sending, in the order in which it is measured."""
    return (
        AlertsCase("alerts_1", 1),
        AlertsCase("alerts_50", 50),
        AlertsCase("alerts_1_repeated", 1, repeated=True),
        AlertsCase("alerts_50_repeated", 50, repeated=True),
        JsonSamplesCase("samples_json", 500),
        JsonSamplesCase("samples_json_1000", 1000),
    )


def measure(stack: BenchStack, chosen: Sequence[Case], size: Size, say: Say) -> Iterator[Figure]:
    """The figures of each case, as they come."""
    with stack.api.connect() as connection:
        connection.execute(bare.TABLE)
        copying.make_table(connection)
    for case in chosen:
        yield _measure(stack, case, size, say)


def _measure(stack: BenchStack, case: Case, size: Size, say: Say) -> Figure:
    say(f"{case.name}: warming up")
    tally, bare_rates = _Tally(), list[dict[str, float]]()
    shards = case.shards(size.warm_up_s)
    tally.acknowledged += case.acknowledged(_send(stack.api, case, shards, size.warm_up_s).answers)
    case.bare(stack, shards, size.warm_up_s)
    for number in range(size.rounds):
        shards = case.shards(size.seconds)
        before = stack.cpu(stack.api.name)
        burst = _send(stack.api, case, shards, size.seconds)
        tally.add(burst, stack.cpu(stack.api.name).since(before))
        tally.acknowledged += case.acknowledged(burst.answers)
        bare_rates.append(case.bare(stack, shards, size.seconds))
        ours, theirs = tally.rates[-1], bare_rates[-1]["ratio_to_bare"]
        say(f"{case.name}: round {number + 1} of {size.rounds}: {ours:,.0f} {case.unit}, bare {theirs:,.0f}")
    with stack.api.connect() as connection:
        kept = case.kept(connection)
    return Figure(case.name, median(tally.rates), case.unit, _facts(tally, bare_rates, kept))


def _send(api: Api, case: Case, shards: load.Shards, seconds: float) -> Burst:
    headers = {**case.headers, "Authorization": f"Bearer {api.key}"}
    return load.send(Target(api.port, case.path, headers), shards, seconds=seconds)


def _facts(tally: _Tally, bare_rates: Sequence[dict[str, float]], kept: int) -> dict[str, object]:
    # The ratio of each round by itself: what slowed the machine down in one round slowed down both.
    ratios = {
        name: median(ours / rates[name] for ours, rates in zip(tally.rates, bare_rates, strict=True))
        for name in bare_rates[0]
    }
    spent = tally.app_s + tally.database_s + tally.redis_s + tally.loader_s
    return {
        **ratios,
        "bare": median(rates["ratio_to_bare"] for rates in bare_rates),
        "lost": tally.acknowledged - kept,
        "acknowledged": tally.acknowledged,
        "requests": len(tally.took_s),
        **{f"p{share}_ms": percentile(tally.took_s, share / 100) * 1000 for share in (50, 95, 99)},
        "app_cpu_ms_per_item": tally.app_s * 1000 / tally.items,
        "database_cpu_ms_per_item": tally.database_s * 1000 / tally.items,
        "redis_cpu_ms_per_item": tally.redis_s * 1000 / tally.items,
        "loader_cpu_share": tally.loader_s / spent if spent else 0.0,
    }
