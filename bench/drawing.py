"""A picture of how far the confidence can be believed, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SIDE, _LEFT, _TOP, _RIGHT, _BOTTOM = 320, 56, 40, 24, 52
_WIDTH, _HEIGHT = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM


def reliability_curve(bins: Sequence[Mapping[str, Any]], title: str) -> str:
    """Of each range of confidence the share that was right, over the mean confidence; dots grow with their cases."""
    most = max(one["cases"] for one in bins)
    line = " L".join(f"{_x(one['confidence'])},{_y(one['right'])}" for one in bins)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            f'<text x="{_LEFT}" y="22" font-size="14" fill="#222">{title}</text>',
            *_frame(),
            f'<path d="M{line}" fill="none" stroke="#2b6cb0" stroke-width="2"/>',
            *(dot for one in bins for dot in _dot(one, most)),
            "</svg>\n",
        )
    )


def _frame() -> Iterator[str]:
    for tick in range(6):
        share = tick / 5
        yield (
            f'<path d="M{_x(share)},{_y(0)} V{_y(1)} M{_x(0)},{_y(share)} H{_x(1)}" stroke="#ddd" fill="none"/>'
            f'<text x="{_x(share)}" y="{_y(0) + 18}" text-anchor="middle" fill="#444">{share:.1f}</text>'
            f'<text x="{_x(0) - 8}" y="{_y(share) + 4}" text-anchor="end" fill="#444">{share:.1f}</text>'
        )
    yield f'<path d="M{_x(0)},{_y(0)} L{_x(1)},{_y(1)}" stroke="#999" stroke-dasharray="5 4"/>'
    middle = _y(0.5)
    yield f'<g text-anchor="middle" fill="#222"><text x="{_x(0.5)}" y="{_HEIGHT - 12}">confidence of the first</text>'
    yield f'<text x="16" y="{middle}" transform="rotate(-90 16 {middle})">share right</text></g>'


def _dot(one: Mapping[str, Any], most: int) -> Iterator[str]:
    x, y = _x(one["confidence"]), _y(one["right"])
    radius = round(3 + 6 * (one["cases"] / most) ** 0.5, 1)
    yield f'<circle cx="{x}" cy="{y}" r="{radius}" fill="#2b6cb0" fill-opacity="0.75"/>'
    above = one["right"] < 0.1
    label_y = round(y - radius - 4 if above else y + radius + 13, 1)
    yield f'<text x="{x}" y="{label_y}" text-anchor="middle" fill="#2b6cb0" font-size="11">{one["cases"]}</text>'


def _x(share: float) -> float:
    return round(_LEFT + _SIDE * share, 1)


def _y(share: float) -> float:
    return round(_TOP + _SIDE * (1 - share), 1)
