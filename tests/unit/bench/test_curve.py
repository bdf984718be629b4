"""The picture of what more processes do."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.curve import picture
from bench.scale import ALERTS, PROCESSES, SCORED

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


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1, 1e6), min_size=len(PROCESSES), max_size=len(PROCESSES)))
def test_every_point_lies_in_the_picture(rates: list[float]) -> None:
    root = drawn(rates)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    circles = root.findall(f"{SVG}circle")
    assert len(circles) == 2 * len(PROCESSES)
    for circle in circles:
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
    for curve in root.findall(f"{SVG}polyline"):
        for point in curve.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 < x < width
            assert 0 < y < height


def test_a_higher_rate_is_drawn_higher() -> None:
    heights = [float(circle.attrib["cy"]) for circle in drawn([100.0, 200.0, 300.0, 150.0]).findall(f"{SVG}circle")]
    assert heights[2] < heights[1] < heights[3] < heights[0]


def test_figures_of_a_filled_database_are_left_out() -> None:
    told = [line(name, 1, 10.0) for name in (SCORED, ALERTS)]
    assert picture([*told, line(f"{SCORED}_filled", 1, 5.0)]) == picture(told)
