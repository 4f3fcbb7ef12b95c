"""Draws a line plot with logarithmic axes as SVG, without a plotting library."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

Points = Sequence[tuple[float, float]]

COLOURS = ("#2a6fbb", "#c8502d", "#3f8f4a", "#7a4fa3")
WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 46


def svg(*panels: str) -> str:
    """Panels side by side as an SVG file."""
    shifted = (f'<g transform="translate({WIDTH * i})">{x}</g>' for i, x in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(shifted)}</svg>\n'
    )


def panel(title: str, x_label: str, y_label: str, lines: Mapping[str, Points]) -> str:
    """A plot of lines through positive points, with ticks at each x and at y = 1, 2, 5, …."""
    xs = sorted({x for points in lines.values() for x, _ in points})
    ys = [y for points in lines.values() for _, y in points]
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys))) + 1)
        for digit in (1, 2, 5)
    ]
    low = max((tick for tick in ticks if tick <= min(ys)), default=min(ys))
    high = min((tick for tick in ticks if tick >= max(ys)), default=max(ys))

    def across(x: float) -> float:
        span = math.log(xs[-1] / xs[0]) or 1
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(x / xs[0]) / span

    def down(y: float) -> float:
        span = math.log(high / low) or 1
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(y / low) / span

    middle = (LEFT + WIDTH - RIGHT) / 2
    parts = [
        _text(title, middle, 16, bold=True),
        _text(x_label, middle, HEIGHT - 8),
        f'<g transform="translate(13 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)">'
        f"{_text(y_label, 0, 0)}</g>",
    ]
    for y in (tick for tick in ticks if low <= tick <= high):
        parts.append(_line([(LEFT, down(y)), (WIDTH - RIGHT, down(y))], "#ddd"))
        parts.append(_text(f"{y:g}", LEFT - 6, down(y) + 4, anchor="end"))
    for x in xs:
        parts.append(
            _line([(across(x), HEIGHT - BOTTOM), (across(x), HEIGHT - BOTTOM + 4)], "#888")
        )
        parts.append(_text(f"{x:g}", across(x), HEIGHT - BOTTOM + 16))
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        places = [(across(x), down(y)) for x, y in points]
        parts.append(_line(places, colour, width=2))
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        row = TOP + 12 + 15 * list(lines).index(name)
        parts.append(_line([(LEFT + 8, row - 4), (LEFT + 26, row - 4)], colour, width=2))
        parts.append(_text(name, LEFT + 31, row, anchor="start"))
    return "\n".join(parts)


def _line(points: Points, colour: str, *, width: float = 1) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _text(text: str, x: float, y: float, *, anchor: str = "middle", bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
