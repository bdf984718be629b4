"""The curve of `sensus bench scale` as a picture: `python -m bench.curve docs/scaling.jsonl docs/scaling.svg`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from bench.scale import ALERTS, FILLED, SCORED

Line = Mapping[str, Any]  # one figure, as `sensus bench` prints it
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 380, 220, 64, 40, 96
_TITLES = {SCORED: "samples scored a second", ALERTS: "alerts stored a second"}
_STEPS = 4
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.axis{stroke:#999}.grid{stroke:#ddd}"
    ".ideal{stroke:#999;stroke-dasharray:4 4;fill:none}.rate{stroke-width:2;fill:none}"
    ".empty{stroke:#1f6feb}.filled{stroke:#bf5b04}.dot{stroke-width:8;stroke-linecap:round}.share{fill:#666;font-size:11px}"
)


def picture(lines: Iterable[Line]) -> str:
    """Both curves side by side, each with what twice the processes would do at best, and on a filled database."""
    told = list(lines)
    panels = [
        _panel(
            _LEFT + number * (_WIDTH + _GAP),
            title,
            [line for line in told if line["name"] == name],
            [line for line in told if line["name"] == name + FILLED],
        )
        for number, (name, title) in enumerate(_TITLES.items())
    ]
    width, height = _LEFT + 2 * _WIDTH + _GAP + 24, _TOP + _HEIGHT + 84
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *panels, "</svg>"]) + "\n"


def _panel(left: int, title: str, lines: Sequence[Line], filled: Sequence[Line]) -> str:
    most_processes = max(line["processes"] for line in lines)
    most = _round_up(max(line["value"] for line in (*lines, *filled)) * 1.15)

    def at(processes: float, value: float) -> tuple[float, float]:
        return left + _WIDTH * processes / most_processes, _TOP + _HEIGHT * (1 - value / most)

    def rates(kind: str, measured: Sequence[Line]) -> Iterator[str]:
        points = [at(line["processes"], line["value"]) for line in measured]
        yield f'<polyline class="rate {kind}" points="{_points(points)}"/>'
        for point in points:
            yield f'<polyline class="dot {kind}" points="{_points((point, point))}"/>'

    parts = [f'<text class="title" x="{left}" y="{_TOP - 16}">{escape(title)}</text>']
    for step in range(_STEPS + 1):
        value = most * step / _STEPS
        _, y = at(0, value)
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + _WIDTH}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
    first = lines[0]
    # As far as the frame goes.
    ideal = min(most_processes, most / (first["value"] / first["processes"]))
    points = [(0.0, 0.0), (ideal, ideal * first["value"] / first["processes"])]
    parts.append(f'<polyline class="ideal" points="{_points(at(*point) for point in points)}"/>')
    if filled:
        parts.extend(rates("filled", filled))
    parts.extend(rates("empty", lines))
    for line in lines:
        x, _ = at(line["processes"], 0)
        busy = line["app_cpus"] + line["database_cpus"] + line["redis_cpus"]
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{line["processes"]}</text>')
        parts.append(
            f'<text class="share" x="{x:.1f}" y="{_TOP + _HEIGHT + 34}" text-anchor="middle">{busy:.1f} CPU</text>'
        )
    axis = _TOP + _HEIGHT
    parts.append(f'<line class="axis" x1="{left}" y1="{axis}" x2="{left + _WIDTH}" y2="{axis}"/>')
    middle = left + _WIDTH / 2
    parts.append(
        f'<text x="{middle}" y="{axis + 54}" text-anchor="middle">processes, of {first["cpus"]} CPUs; dashed: each as '
        "much as the first</text>"
    )
    if filled:
        parts.append(
            f'<text x="{middle}" y="{axis + 72}" text-anchor="middle">blue: on an empty database; orange: on one of '
            f"{filled[0]['stored_alerts']:,} alerts</text>"
        )
    return "\n".join(parts)


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8, 10 times a power of ten, of which quarters are even."""
    scale = 10.0 ** (len(str(int(value))) - 1)
    return next(step * scale for step in (1, 2, 4, 6, 8, 10) if step * scale >= value)


def main() -> None:
    """Read the figures of one file, write the picture to another."""
    figures, target = map(Path, sys.argv[1:])
    target.write_text(picture(read(figures)), "utf-8")


def read(figures: Path) -> list[Line]:
    """The lines of a file of figures."""
    return [msgspec.json.decode(line) for line in figures.read_bytes().splitlines()]


if __name__ == "__main__":
    main()
