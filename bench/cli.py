"""`sensus bench`: the benchmarks; that of ingest on a temporary stack of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench import accuracy, ingest, scoring, stack, training
from bench.figures import Figure
from bench.ingest import Extent
from bench.rounds import Size
from ml import detectors, warm
from ml.builtin import builtin_model

_QUICK = Extent(Size(rounds=1, seconds=0.4, warm_up_s=0.2), requests=20, stored=20_000, filled=0)
_USUAL = Extent(Size(rounds=3, seconds=4.0, warm_up_s=1.5), requests=200, stored=400_000, filled=0)
_FULL = Extent(Size(rounds=5, seconds=6.0, warm_up_s=2.0), requests=400, stored=1_000_000, filled=1_000_000)
_QUICK_SAMPLES, _SAMPLES = 2_000, 200_000
_QUICK_TRAINING, _TRAINING = (10,), (100, 1_000, 10_000)
_TRAINING_DAYS = 28


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
    of_score = benchmarks.add_parser("score", help="samples a second and core, training, accuracy; needs no server")
    of_score.add_argument("--quick", action="store_true", help="fewer samples and series; the figures are rough")
    of_score.add_argument(
        "--detector", choices=detectors.names(), default=detectors.DEFAULT, help="which detector (default: %(default)s)"
    )
    of_score.add_argument(
        "--suites", type=Path, metavar="DIR", help="measure the accuracy too, on each folder here with a labels.json"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print each figure as a JSON line; the progress goes to stderr."""
    for figure in _score(arguments) if arguments.benchmark == "score" else _ingest(arguments):
        print(figure.line(), flush=True)
    return 0


def _ingest(arguments: argparse.Namespace) -> Iterator[Figure]:
    extent = _QUICK if arguments.quick else _FULL if arguments.full else _USUAL
    if arguments.filled is not None:
        extent = replace(extent, filled=arguments.filled)
    _say("starting a stack of its own")
    with stack.temporary(with_filled=extent.filled > 0) as running:
        yield from ingest.measure(running, arguments.only or ingest.names(), extent, _say)


def _score(arguments: argparse.Namespace) -> Iterator[Figure]:
    _say("compiling what is not compiled yet")
    warm.warm_up()
    model = builtin_model(arguments.detector)
    yield from scoring.measure(model, _QUICK_SAMPLES if arguments.quick else _SAMPLES, _say)
    sizes = _QUICK_TRAINING if arguments.quick else _TRAINING
    yield from training.measure(sizes, _TRAINING_DAYS, arguments.detector, _say)
    if arguments.suites is not None:
        yield from accuracy.measure(arguments.suites, model, _say)


def _count(text: str) -> int:
    if text.isdecimal() and int(text) <= 100_000_000:
        return int(text)
    raise argparse.ArgumentTypeError("a number of alerts, 0 for none")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
