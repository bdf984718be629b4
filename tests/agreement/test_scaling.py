"""The picture of the documentation is that of its figures."""

from __future__ import annotations

from pathlib import Path

from bench import curve
from bench.scale import ALERTS, FILLED, PROCESSES, SCORED

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_picture_is_drawn_from_the_figures_beside_it() -> None:
    lines = curve.read(DOCS / "scaling.jsonl")
    for name in (SCORED, ALERTS):
        assert tuple(line["processes"] for line in lines if line["name"] == name) == PROCESSES
        assert tuple(line["processes"] for line in lines if line["name"] == name + FILLED) == PROCESSES
    assert all(line["lost"] == 0 for line in lines)
    assert (DOCS / "scaling.svg").read_text("utf-8") == curve.picture(lines), "run `make curve`"
