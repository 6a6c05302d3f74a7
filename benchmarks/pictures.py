"""Pictures of figures, as SVG text: bars beside each other, and lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Amount", "draw_bars", "draw_lines", "ticks"]

_COLOURS = ("#1f6f8b", "#d1495b", "#edae49", "#66a182", "#8d6a9f", "#777777")
_WIDTH = 720
_LEFT, _RIGHT, _TOP = 190, 110, 46
_ROW = 30
_PLOT = 300
_FONT = 'font-family="sans-serif" font-size="13"'

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """One bar: its median, and the least and the most of the samples."""

    name: str
    value: float
    least: float
    most: float


def ticks(most: float, count: int = 5) -> list[float]:
    """Return round numbers from 0 up to ``most`` or just above it."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    power: float = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def draw_bars(title: str, unit: str, amounts: Sequence[Amount]) -> str:
    """Return a picture of bars from 0, with whiskers from the least to the most."""
    marks = ticks(max(amount.most for amount in amounts))
    scale = (_WIDTH - _LEFT - _RIGHT) / marks[-1]
    bottom = _TOP + _ROW * len(amounts)
    body = []
    for mark in marks:
        x = _LEFT + mark * scale
        body += [_line((x, _TOP), (x, bottom), "#dddddd"), _text(x, bottom + 18, mark)]
    for number, amount in enumerate(amounts):
        y = _TOP + _ROW * number
        middle = y + _ROW / 2
        colour = _COLOURS[number % len(_COLOURS)]
        body += [
            _text(_LEFT - 8, middle + 5, amount.name, anchor="end"),
            (
                f'<rect x="{_LEFT}" y="{y + 5:.1f}" width="{amount.value * scale:.1f}"'
                f' height="{_ROW - 10}" fill="{colour}"/>'
            ),
            _line(
                (_LEFT + amount.least * scale, middle),
                (_LEFT + amount.most * scale, middle),
                "#222222",
            ),
            _text(
                _LEFT + max(amount.most, amount.value) * scale + 6,
                middle + 5,
                f"{amount.value:.3g} {unit}",
                anchor="start",
            ),
        ]
    return _svg(title, body, bottom + 40)


def draw_lines(
    title: str, axes: tuple[str, str], series: Mapping[str, Sequence[Point]]
) -> str:
    """Return a picture of lines, both axes from 0; ``axes`` are their names."""
    points = [point for line in series.values() for point in line]
    across = ticks(max(x for x, _ in points))
    upward = ticks(max(y for _, y in points))
    wide = (_WIDTH - _LEFT / 2 - _RIGHT * 1.6) / across[-1]
    high = _PLOT / upward[-1]
    left, bottom = _LEFT / 2, _TOP + _PLOT

    def place(point: Point) -> Point:
        return left + point[0] * wide, bottom - point[1] * high

    body = [
        _text(left + across[-1] * wide / 2, bottom + 40, axes[0]),
        _text(10, _TOP - 12, axes[1], anchor="start"),
    ]
    for mark in across:
        x, y = place((mark, 0))
        body += [_line((x, _TOP), (x, y), "#eeeeee"), _text(x, y + 18, mark)]
    for mark in upward:
        x, y = place((0, mark))
        body.append(_line((x, y), (left + across[-1] * wide, y), "#dddddd"))
        body.append(_text(x - 8, y + 5, mark, anchor="end"))
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [place(point) for point in sorted(line)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        body.append(
            f'<polyline points="{joined}" fill="none" stroke="{colour}"'
            ' stroke-width="2"/>'
        )
        body += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
            for x, y in places
        ]
        # A list of names beside the plot: names at the lines' ends would overlap.
        x, y = _WIDTH - _RIGHT * 1.5, _TOP + 20 * number
        body.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        body.append(_text(x + 18, y + 11, name, anchor="start"))
    return _svg(title, body, bottom + 56)


def _svg(title: str, body: Sequence[str], height: float) -> str:
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}"'
                f' height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}" {_FONT}>'
            ),
            f"<title>{escape(title)}</title>",
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _text(x: float, y: float, content: str | float, *, anchor: str = "middle") -> str:
    shown = content if isinstance(content, str) else f"{content:,.6g}"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}</text>'
    )


def _line(start: Point, end: Point, colour: str) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}"'
        f' y2="{end[1]:.1f}" stroke="{colour}"/>'
    )
