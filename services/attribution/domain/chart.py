"""Draws how an interval closed in on a difference, as SVG that stands alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from services.attribution.domain.course import Point

WIDTH: Final = 680
HEIGHT: Final = 270
LEFT: Final = 64
RIGHT: Final = 16
TOP: Final = 12
BOTTOM: Final = 44
LINE: Final = "#1857c4"
BAND: Final = "#c9d8f4"
GRID: Final = "#e6e9ef"
TEXT: Final = "#414b5f"
TICKS: Final = 6
"""About so many on an axis."""


class Frame(NamedTuple):
    """What of the plane is shown."""

    most: float
    """Shoppers at the right edge."""
    low: float
    high: float

    def x(self, shoppers: float) -> str:
        """Where so many shoppers are."""
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * shoppers / self.most:.1f}"

    def y(self, value: float) -> str:
        """Where a difference is; on the edge where it is beyond."""
        kept = min(max(value, self.low), self.high)
        return f"{TOP + (HEIGHT - TOP - BOTTOM) * (self.high - kept) / (self.high - self.low):.1f}"


def sequence_svg(points: Sequence[Point], least: float, unit: str) -> str:
    """Estimates with their interval by shoppers, of one point or more.

    Two dashed lines mark the least difference that would matter. What the interval was while it was
    very wide is cut off, so that one sees what it is now.
    """
    frame = _frame(points, least)
    upper = [f"{frame.x(each.shoppers)},{frame.y(each.high)}" for each in points]
    lower = [f"{frame.x(each.shoppers)},{frame.y(each.low)}" for each in points]
    middle = [f"{frame.x(each.shoppers)},{frame.y(each.estimate)}" for each in points]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="Arial, Helvetica, sans-serif" font-size="12" '
        f'fill="{TEXT}">',
        *_axes(frame, unit),
        f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="{BAND}"/>',
        *(_level(frame, value, '#8a93a3" stroke-dasharray="5 4') for value in (-least, least)),
        _level(frame, 0.0, "#1d2433"),
        f'<polyline points="{" ".join(middle)}" fill="none" stroke="{LINE}" stroke-width="2"/>',
        *_newest(frame, points[-1]),
        "</svg>",
    ]
    return "\n".join(parts)


def _frame(points: Sequence[Point], least: float) -> Frame:
    """All of what the last third of the looks saw, and 0 with what would matter around it."""
    later = points[2 * len(points) // 3 :]
    low = min(-1.5 * least, *(each.low for each in later))
    high = max(1.5 * least, *(each.high for each in later))
    room = 0.05 * (high - low) or 1.0
    return Frame(max(each.shoppers for each in points), low - room, high + room)


def _axes(frame: Frame, unit: str) -> list[str]:
    """Grid, ticks with their numbers, and what the axes are."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    step = _step(frame.high - frame.low)
    for number in range(math.ceil(frame.low / step), math.floor(frame.high / step) + 1):
        y = frame.y(number * step)
        parts += [
            f'<line x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="{GRID}"/>',
            f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{number * step:g}</text>',
        ]
    step = _step(frame.most)
    for number in range(math.floor(frame.most / step) + 1):
        x = frame.x(number * step)
        parts += [
            f'<line x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 5}" stroke="{TEXT}"/>',
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{number * step:,.0f}</text>',
        ]
    middle = (LEFT + right) / 2
    return [
        *parts,
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">shoppers of both arms</text>',
        f'<text transform="translate(14 {(TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(unit)}</text>',
    ]


def _step(span: float) -> float:
    """1, 2 or 5 times a power of ten, some :data:`TICKS` of which make up the span."""
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    return next(power * each for each in (1, 2, 5, 10) if power * each * TICKS >= span)


def _level(frame: Frame, value: float, stroke: str) -> str:
    y = frame.y(value)
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{stroke}"/>'


def _newest(frame: Frame, point: Point) -> list[str]:
    """The newest look, drawn by itself: a band of one look has no width."""
    x = frame.x(point.shoppers)
    return [
        f'<line x1="{x}" x2="{x}" y1="{frame.y(point.low)}" y2="{frame.y(point.high)}" '
        f'stroke="{LINE}" stroke-width="2"/>',
        f'<circle cx="{x}" cy="{frame.y(point.estimate)}" r="4" fill="{LINE}"/>',
    ]
