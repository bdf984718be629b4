"""`sensus bench`: the benchmarks; those that need servers bring a temporary stack of their own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from bench import accuracy, analyse, drawing, ingest, scale, scoring, stack, training
from bench.analyse import Span
from bench.figures import Figure
from bench.ingest import Extent
from bench.rounds import Size
from ml import detectors, warm
from ml.builtin import builtin_model
from sensus.errors import ConfigurationError

_QUICK = Extent(Size(rounds=1, seconds=0.4, warm_up_s=0.2), requests=20, stored=20_000, filled=0)
_USUAL = Extent(Size(rounds=3, seconds=4.0, warm_up_s=1.5), requests=200, stored=400_000, filled=0)
_FULL = Extent(Size(rounds=5, seconds=6.0, warm_up_s=2.0), requests=400, stored=1_000_000, filled=1_000_000)
_QUICK_SCALE = scale.Extent(processes=(1, 2), rounds=1, to_score=4_000, seconds=0.4, filled=0)
_USUAL_SCALE = scale.Extent(processes=scale.PROCESSES, rounds=3, to_score=500_000, seconds=4.0, filled=0)
_QUICK_SPAN = Span(sizes=(50, 500), repeats=5)
_USUAL_SPAN = Span(sizes=(50, 500, 5_000), repeats=40)
_QUICK_SAMPLES, _SAMPLES = 2_000, 200_000
_QUICK_TRAINING, _TRAINING = (10,), (100, 1_000, 10_000)
_TRAINING_DAYS = 28


def configure(parser: argparse.ArgumentParser) -> None:
    """A subcommand for each benchmark."""
    benchmarks = parser.add_subparsers(dest="benchmark", metavar="BENCHMARK", required=True)
    _configure_ingest(benchmarks.add_parser("ingest", help="alerts and samples a second, beside the bare limits"))
    _configure_score(
        benchmarks.add_parser("score", help="samples a second and core, training, accuracy; needs no server")
    )
    _configure_analyse(
        benchmarks.add_parser("analyse", help="time and memory of ranking suspects, and how often it is right")
    )
    _configure_scale(
        benchmarks.add_parser("scale", help="what 1, 2, 4 and 8 processes do a second, and what is full first")
    )


def run(arguments: argparse.Namespace) -> int:
    """Print each figure as a JSON line; the progress goes to stderr."""
    measured = _print(arguments.measure(arguments))
    if arguments.benchmark == "analyse" and arguments.draw is not None:
        _draw(arguments.draw, measured)
    return 0


def _configure_ingest(parser: argparse.ArgumentParser) -> None:
    how_much = parser.add_mutually_exclusive_group()
    how_much.add_argument("--quick", action="store_true", help="under a minute; the figures are rough")
    how_much.add_argument("--full", action="store_true", help="longer, and again on a database with 1,000,000 alerts")
    _add_filled(parser)
    parser.add_argument(
        "--only",
        action="append",
        choices=ingest.names(),
        metavar="NAME",
        help=f"measure only this; may be repeated: {', '.join(ingest.names())}",
    )
    parser.set_defaults(measure=_ingest)


def _configure_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="fewer samples and series; the figures are rough")
    parser.add_argument(
        "--detector", choices=detectors.names(), default=detectors.DEFAULT, help="which detector (default: %(default)s)"
    )
    parser.add_argument(
        "--suites", type=Path, metavar="DIR", help="measure the accuracy too, on each folder here with a labels.json"
    )
    parser.set_defaults(measure=_score)


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
    parser.set_defaults(measure=_analyse)


def _configure_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="under a minute, 1 and 2 processes; rough")
    _add_filled(parser)
    parser.add_argument("--rounds", type=_rounds, metavar="N", help="so many rounds, whose median is told")
    parser.set_defaults(measure=_scale)


def _add_filled(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--filled", type=_count, metavar="N", help="measure again on a database with N alerts and 5 N samples"
    )


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


def _analyse(arguments: argparse.Namespace) -> Iterator[Figure]:
    span = _QUICK_SPAN if arguments.quick else _USUAL_SPAN
    if arguments.metrics:
        span = replace(span, sizes=tuple(arguments.metrics))
    yield from analyse.measure(span, arguments.cases, _say)


def _scale(arguments: argparse.Namespace) -> Iterator[Figure]:
    extent = _QUICK_SCALE if arguments.quick else _USUAL_SCALE
    extent = replace(extent, filled=arguments.filled or 0, rounds=arguments.rounds or extent.rounds)
    _say("starting a stack of its own")
    with stack.temporary(with_filled=extent.filled > 0) as running:
        yield from scale.measure(running, extent, _say)


def _print(figures: Iterable[Figure]) -> list[Figure]:
    printed = []
    for figure in figures:
        print(figure.line(), flush=True)
        printed.append(figure)
    return printed


def _draw(path: Path, measured: Iterable[Figure]) -> None:
    confidence = next(figure for figure in measured if figure.name == "confidence")
    title = f"Confidence and truth in {confidence.facts['cases']} cases"
    try:
        path.write_text(drawing.reliability_curve(confidence.facts["bins"], title), "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from None


def _count(text: str) -> int:
    if text.isdecimal() and int(text) <= 100_000_000:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number, not above 100,000,000")


def _rounds(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 100:
        return int(text)
    raise argparse.ArgumentTypeError("a number from 1 to 100")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
