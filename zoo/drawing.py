"""Draws a model as an SVG: stages as boxes, skips as arrows, with the size of each."""

import itertools
import math
from xml.sax.saxutils import escape

import keras

from zoo.anatomy import Skip, Stage, anatomy

# Told apart by their lightness, too.
COLOURS = {
    "image": "#d9d9d9",
    "convolution": "#4e79a7",
    "pooling": "#e15759",
    "normalization": "#76b7b2",
    "unpooling": "#f28e2b",
    "deconvolution": "#59a14f",
    "sum or concatenation": "#b07aa1",
    "padding or crop": "#f1e3b8",
}
# The height and width of the image of a model's paper; of the others 500 × 500, as in PASCAL VOC.
SIZES = {"deconvnet": (224, 224), "unet": (388, 388)}

_TALL, _MARGIN = 240, 24  # in pixels: the tallest box, the border
_COLUMN, _LEVEL = 34, 24  # room for the two lines below a box, and between two arrows
_LETTER = 6.4  # the width of a letter of 11 pixels, at most, on average


def svg(model: keras.Model, size: tuple[int, int] | None = None) -> str:
    """The text of an SVG file that shows a model.

    ```python
    pathlib.Path("fcn8s.svg").write_text(svg(model), encoding="utf-8")
    ```

    Args:
        model: A model of the zoo.
        size: Height and width of the image whose sizes are written; by default that of its paper.

    Raises:
        ValueError: The model cannot take the size.
    """
    name = model.spec.model if hasattr(model, "spec") else model.name
    height, width = size or SIZES.get(name, (500, 500))
    stages, skips = anatomy(model, (height, width))
    columns = _columns(stages)
    levels = _levels(skips, columns)
    top = _MARGIN + 40 + _LEVEL * (max(levels, default=-1) + 1) + 16
    axis = top + _TALL / 2
    tallest = max(stage.size[0] for stage in stages)
    heights = [max(4.0, _TALL * stage.size[0] / tallest) for stage in stages]
    below = top + _TALL + 12
    deep = _LETTER * max(max(map(len, _caption(stage))) for stage in stages)

    count = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    head = model.spec.head if hasattr(model, "spec") else None
    name += f", the head {head}" if head else ""
    title = f"{name}: {count:,} parameters, drawn for an image of {height} × {width}"
    parts = [_text(_MARGIN, _MARGIN + 8, title, size=15)]
    parts.append(_arrow([(columns[0][0], axis), (columns[-1][1] + 20, axis)]))
    for stage, (left, right), tall in zip(stages, columns, heights, strict=True):
        parts += _box(stage, left, right, axis - tall / 2, tall)
        middle = (left + right) / 2
        for line, text in enumerate(_caption(stage)):
            x = middle - 3 + 14 * line
            parts.append(_text(x, below, text, turned=True, grey=line == 1))
    for skip, level in zip(skips, levels, strict=True):
        parts += _skip(skip, columns, heights, axis, y=top - 16 - _LEVEL * level)
    legend, wide, high = _legend(stages, skips, below + deep + 24)
    whole = max(columns[-1][1] + 24 + _MARGIN, wide, _MARGIN + 8.2 * len(title) + _MARGIN)
    return _file([*parts, *legend], whole, high)


def _columns(stages: list[Stage]) -> list[tuple[float, float]]:
    """From where to where the box of each stage reaches, from left to right."""
    found, x = [], float(_MARGIN)
    for stage in stages:
        width = len(stage.layers) * (3 + 1.7 * math.log2(stage.size[2]))
        room = max(width, _COLUMN)
        found.append((x + (room - width) / 2, x + (room + width) / 2))
        x += room + 9
    return found


def _levels(skips: list[Skip], columns: list[tuple[float, float]]) -> list[int]:
    """The row of each arrow, from below, so that no two meet: a wide one is above a narrow one."""
    spans = [_span(skip, columns) for skip in skips]
    levels = [0] * len(skips)
    order = sorted(range(len(skips)), key=lambda index: spans[index][1] - spans[index][0])
    for place, index in enumerate(order):
        left, right = spans[index]
        met = [other for other in order[:place] if spans[other][0] < right]
        met = [levels[other] for other in met if spans[other][1] > left]
        levels[index] = max(met, default=-1) + 1
    return levels


def _span(skip: Skip, columns: list[tuple[float, float]]) -> tuple[float, float]:
    """How far an arrow reaches with the text on it."""
    left, right = sum(columns[skip.start]) / 2, sum(columns[skip.end]) / 2
    half = max(right - left, _LETTER * len(_label(skip))) / 2 + 4
    return (left + right) / 2 - half, (left + right) / 2 + half


def _label(skip: Skip) -> str:
    words = "switches" if skip.switches else _named(skip.layers)
    return f"{words} {_shown(skip.size)}".strip()


def _caption(stage: Stage) -> tuple[str, str]:
    return _named(stage.layers), _shown(stage.size)


def _named(layers: tuple[str, ...]) -> str:
    """Layers in a row, in few words."""
    return ", ".join(layers) if len(layers) < 3 else f"{layers[0]} … {layers[-1]}"


def _shown(size: tuple[int, int, int]) -> str:
    return " × ".join(map(str, size))


def _box(stage: Stage, left: float, right: float, top: float, tall: float) -> list[str]:
    """A slab for each layer of a stage."""
    width = (right - left) / len(stage.layers)
    hint = f"<title>{escape(', '.join(stage.layers))}: {_shown(stage.size)}</title>"
    return [
        f'<rect x="{left + number * width:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{tall:.1f}" fill="{COLOURS[stage.kind]}" stroke="#222" stroke-width="0.7">'
        f"{hint}</rect>"
        for number in range(len(stage.layers))
    ]


def _skip(
    skip: Skip, columns: list[tuple[float, float]], heights: list[float], axis: float, *, y: float
) -> list[str]:
    # The arrow leaves right of the middle and arrives left of it: a stage may have one of each.
    start, end = sum(columns[skip.start]) / 2 + 3, sum(columns[skip.end]) / 2 - 3
    tops = [axis - heights[place] / 2 for place in (skip.start, skip.end)]
    corners = [(start, tops[0]), (start, y), (end, y), (end, tops[1] - 2)]
    middle = (start + end) / 2
    return [
        _arrow(corners, dashed=skip.switches),
        _text(middle, y - 4, _label(skip), centred=True, grey=True),
    ]


def _arrow(corners: list[tuple[float, float]], *, dashed: bool = False) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    dashes = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<polyline points="{points}" fill="none" stroke="#555" stroke-width="1.2"{dashes} '
        'marker-end="url(#tip)"/>'
    )


def _legend(stages: list[Stage], skips: list[Skip], y: float) -> tuple[list[str], float, float]:
    """The meaning of colours, arrows and measures; how wide it is, and where it ends."""
    parts, x = [], float(_MARGIN)
    for kind in [kind for kind in COLOURS if any(stage.kind == kind for stage in stages)]:
        parts.append(
            f'<rect x="{x}" y="{y:.1f}" width="12" height="12" fill="{COLOURS[kind]}" '
            'stroke="#222" stroke-width="0.7"/>'
        )
        parts.append(_text(x + 18, y + 10, kind))
        x += 18 + _LETTER * len(kind) + 22
    for switches, text in ((False, "skip"), (True, "where the maxima were")):
        if any(skip.switches == switches for skip in skips):
            parts.append(_arrow([(x, y + 6), (x + 30, y + 6)], dashed=switches))
            parts.append(_text(x + 38, y + 10, text))
            x += 38 + _LETTER * len(text) + 22
    note = "height × width × channels; a box is as tall as its features, and wider with the number "
    note += "of its channels (logarithmically)"
    parts.append(_text(_MARGIN, y + 34, note, grey=True))
    return parts, max(x, _MARGIN + _LETTER * len(note)), y + 34 + _MARGIN


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    turned: bool = False,
    centred: bool = False,
    grey: bool = False,
) -> str:
    anchor = "end" if turned else "middle" if centred else "start"
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{"#555" if grey else "#111"}"{turn}>{escape(text)}</text>'
    )


def _file(parts: list[str], width: float, height: float) -> str:
    width, height = math.ceil(width), math.ceil(height)
    return "\n".join(
        itertools.chain(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans, Verdana, sans-serif">',
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker>'
                "</defs>",
                f'<rect width="{width}" height="{height}" fill="white"/>',
            ],
            parts,
            ["</svg>", ""],
        )
    )
