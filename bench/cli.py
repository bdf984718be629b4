"""`sensus bench`: the benchmarks; those that need servers bring a temporary stack of their own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bench import analyse, drawing, ingest, stack
from bench.analyse import Span
from bench.figures import Figure
from bench.ingest import Extent
from bench.rounds import Size
from sensus.errors import ConfigurationError

_QUICK = Extent(Size(rounds=1, seconds=0.4, warm_up_s=0.2), requests=20, stored=20_000, filled=0)
_USUAL = Extent(Size(rounds=3, seconds=4.0, warm_up_s=1.5), requests=200, stored=400_000, filled=0)
_FULL = Extent(Size(rounds=5, seconds=6.0, warm_up_s=2.0), requests=400, stored=1_000_000, filled=1_000_000)
_QUICK_SPAN = Span(sizes=(50, 500), repeats=5)
_USUAL_SPAN = Span(sizes=(50, 500, 5_000), repeats=40)


def configure(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each benchmark."""
    benchmarks = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    _configure_ingest(benchmarks.add_parser("ingest", help="alerts and samples a second, beside the bare limits"))
    _configure_analyse(
        benchmarks.add_parser("analyse", help="time and memory of ranking suspects, and how often it is right")
    )


def run(arguments: argparse.Namespace) -> int:
    """Print each figure as a JSON line; the progress goes to stderr."""
    return _analyse(arguments) if arguments.benchmark == "analyse" else _ingest(arguments)


def _configure_ingest(parser: argparse.ArgumentParser) -> None:
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="under a minute; the figures are rough")
    how_much.add_argument("--full", action="store_true", help="longer, and again on a database with 1,000,000 alerts")
    parser.add_argument(
        "--filled", type=_count, metavar="N", help="measure again on a database with N alerts and 5 N samples"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=ingest.names(),
        metavar="NAME",
        help=f"measure only this; may be repeated: {', '.join(ingest.names())}",
    )


def _configure_analyse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a few seconds; the figures are rough")
    parser.add_argument(
        "--metrics", action="append", type=_count, metavar="N", help="measure incidents of N metrics; may be repeated"
    )
    parser.add_argument(
        "--cases",
        type=Path,
        metavar="DIR",
        help="folder of cases as `sensus rootcause` reads it, with truth.json; without it a few are made",
    )
    parser.add_argument("--draw", type=Path, metavar="FILE", help="draw how far the confidence can be believed, as SVG")


def _ingest(arguments: argparse.Namespace) -> int:
    extent = _QUICK if arguments.quick else _FULL if arguments.full else _USUAL
    if arguments.filled is not None:
        extent = replace(extent, filled=arguments.filled)
    _say("starting a stack of its own")
    with stack.temporary(with_filled=extent.filled > 0) as running:
        _print(ingest.measure(running, arguments.only or ingest.names(), extent, _say))
    return 0


def _analyse(arguments: argparse.Namespace) -> int:
    span = _QUICK_SPAN if arguments.quick else _USUAL_SPAN
    if arguments.metrics:
        span = replace(span, sizes=tuple(arguments.metrics))
    found = _print(analyse.measure(span, arguments.cases, _say))
    if arguments.draw is not None:
        confidence = next(figure for figure in found if figure.name == "confidence")
        title = f"Confidence and truth in {confidence.facts['cases']} cases"
        _write(arguments.draw, drawing.reliability_curve(confidence.facts["bins"], title))
    return 0


def _print(figures: Iterable[Figure]) -> list[Figure]:
    printed = []
    for figure in figures:
        print(figure.line(), flush=True)
        printed.append(figure)
    return printed


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None


def _count(text: str) -> int:
    if text.isdecimal() and int(text) <= 100_000_000:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number, not above 100,000,000")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
