"""The picture of what more processes do."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.curve import picture
from bench.scale import ALERTS, FILLED, PROCESSES, SCORED

SVG = "{http://www.w3.org/2000/svg}"


def line(name: str, processes: int, value: float) -> dict[str, Any]:
    parts = dict.fromkeys(("app_cpus", "database_cpus", "redis_cpus"), 0.5)
    return {"name": name, "processes": processes, "value": value, "cpus": 2, **parts}


def drawn(rates: list[float]) -> ET.Element:
    return ET.fromstring(
        picture(
            line(name, count, rate) for name in (SCORED, ALERTS) for count, rate in zip(PROCESSES, rates, strict=True)
        )
    )


def dots(root: ET.Element, kind: str) -> list[tuple[float, float]]:
    """Where the rates are, panel by panel."""
    lines = root.findall(f"{SVG}polyline[@class='rate {kind}']")
    points = [point.split(",") for line in lines for point in line.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in points]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=len(PROCESSES), max_size=len(PROCESSES)))
def test_every_point_lies_in_the_picture(rates: list[float]) -> None:
    root = drawn(rates)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert len(dots(root, "empty")) == 2 * len(PROCESSES)
    for curve in root.findall(f"{SVG}polyline"):
        for point in curve.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 < x < width
            assert 0 < y < height


def test_a_higher_rate_is_drawn_higher() -> None:
    heights = [y for _, y in dots(drawn([100.0, 200.0, 300.0, 150.0]), "empty")]
    assert heights[2] < heights[1] < heights[3] < heights[0]


def test_a_filled_database_has_a_line_of_its_own_in_each_panel() -> None:
    told = [line(name, count, 10.0) for name in (SCORED, ALERTS) for count in PROCESSES]
    filled = [{**one, "name": one["name"] + FILLED, "value": 5.0, "stored_alerts": 1_000_000} for one in told]
    both = ET.fromstring(picture([*told, *filled]))
    assert dots(both, "empty") == dots(ET.fromstring(picture(told)), "empty")
    assert len(dots(both, "filled")) == len(filled)
    assert min(y for _, y in dots(both, "filled")) > max(y for _, y in dots(both, "empty"))
    assert "on one of 1,000,000 alerts" in "".join(both.itertext())
