"""`sensus bench`: the benchmarks, each on a temporary stack of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

from bench import ingest, scale, stack
from bench.figures import Figure
from bench.ingest import Extent
from bench.rounds import Size

_QUICK = Extent(Size(rounds=1, seconds=0.4, warm_up_s=0.2), requests=20, stored=20_000, filled=0)
_USUAL = Extent(Size(rounds=3, seconds=4.0, warm_up_s=1.5), requests=200, stored=400_000, filled=0)
_FULL = Extent(Size(rounds=5, seconds=6.0, warm_up_s=2.0), requests=400, stored=1_000_000, filled=1_000_000)

_QUICK_SCALE = scale.Extent(processes=(1, 2), rounds=1, to_score=4_000, seconds=0.4, filled=0)
_USUAL_SCALE = scale.Extent(processes=scale.PROCESSES, rounds=2, to_score=30_000, seconds=3.0, filled=0)


def configure(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each benchmark."""
    benchmarks = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    of_ingest = benchmarks.add_parser("ingest", help="alerts and samples a second, beside the bare limits")
    how_much = of_ingest.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="under a minute; the figures are rough")
    how_much.add_argument("--full", action="store_true", help="longer, and again on a database with 1,000,000 alerts")
    of_ingest.add_argument(
        "--filled", type=_count, metavar="N", help="measure again on a database with N alerts and 5 N samples"
    )
    of_ingest.add_argument(
        "--only",
        action="append",
        choices=ingest.names(),
        metavar="NAME",
        help=f"measure only this; may be repeated: {', '.join(ingest.names())}",
    )
    of_ingest.set_defaults(measure=_ingest)
    of_scale = benchmarks.add_parser("scale", help="what 1, 2, 4 and 8 processes do a second, and what is full first")
    of_scale.add_argument("--quick", action="store_true", help="under a minute, 1 and 2 processes; rough")
    of_scale.add_argument(
        "--filled", type=_count, metavar="N", help="measure again on a database with N alerts and 5 N samples"
    )
    of_scale.set_defaults(measure=_scale)


def run(arguments: argparse.Namespace) -> int:
    """Print each figure as a JSON line; the progress goes to stderr."""
    _say("starting a stack of its own")
    for figure in arguments.measure(arguments):
        print(figure.line(), flush=True)
    return 0


def _ingest(arguments: argparse.Namespace) -> Iterator[Figure]:
    extent = _QUICK if arguments.quick else _FULL if arguments.full else _USUAL
    if arguments.filled is not None:
        extent = replace(extent, filled=arguments.filled)
    with stack.temporary(with_filled=extent.filled > 0) as running:
        yield from ingest.measure(running, arguments.only or ingest.names(), extent, _say)


def _scale(arguments: argparse.Namespace) -> Iterator[Figure]:
    extent = _QUICK_SCALE if arguments.quick else _USUAL_SCALE
    extent = replace(extent, filled=arguments.filled or 0)
    with stack.temporary(with_filled=extent.filled > 0) as running:
        yield from scale.measure(running, extent, _say)


def _count(text: str) -> int:
    if text.isdecimal() and int(text) <= 100_000_000:
        return int(text)
    raise argparse.ArgumentTypeError("a number of alerts, 0 for none")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
