"""`sensus bench`: the benchmarks, each on a temporary stack of its own."""

from __future__ import annotations

import argparse
import sys

from bench import ingest, stack
from bench.ingest import Size

_QUICK = Size(rounds=1, seconds=0.7, warm_up_s=0.3)
_USUAL = Size(rounds=3, seconds=4.0, warm_up_s=1.5)
_FULL = Size(rounds=5, seconds=6.0, warm_up_s=2.0)
_STOPPED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each benchmark."""
    benchmarks = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    of_ingest = benchmarks.add_parser("ingest", help="alerts and samples a second, beside the bare limits")
    how_much = of_ingest.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="under a minute; the figures are rough")
    how_much.add_argument("--full", action="store_true", help="longer rounds, and 1,000,000 alerts stored before")
    of_ingest.add_argument(
        "--only",
        action="append",
        choices=[case.name for case in ingest.cases()],
        metavar="NAME",
        help="measure only this; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print each figure as a JSON line; the progress goes to stderr."""
    size = _QUICK if arguments.quick else _FULL if arguments.full else _USUAL
    chosen = [case for case in ingest.cases() if arguments.only is None or case.name in arguments.only]
    _say("starting a stack of its own")
    with stack.temporary(with_filled=False) as running:
        for figure in ingest.measure(running, chosen, size, _say):
            print(figure.line(), flush=True)
        return 0
    # A stop ends the block quietly.
    return _STOPPED


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
