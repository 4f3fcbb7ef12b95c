"""Answers of a split as a picture: the images with the best, the median and the worst score."""

import pathlib
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import zoo.pictures
from recipes.data import Dataset
from recipes.evaluation.evaluate import Result
from recipes.plotting import names
from zoo import files, fonts

ENDINGS = (".png", ".jpg", ".jpeg")
WIDTH = 240  # of an image in the picture, in pixels
OPACITY = 0.65
_LETTER = 14  # the height of a line of text, in pixels
_GAP = 6


def check(file: pathlib.Path) -> None:
    """Checks the name of a file for `write`, before anything is scored; see `files.check_new`."""
    files.check_new(file, ENDINGS, what="A gallery")


def picked(ious: np.ndarray) -> dict[int, str]:
    """The images that are shown: their indices, and why.

    Of images with the same score the first one is taken; those without a labelled pixel, NaN, are
    left out. For two images or one there is no median.

    >>> picked(np.array([0.5, 0.9, 0.1, np.nan]))
    {1: 'best', 0: 'median', 2: 'worst'}

    Raises:
        ValueError: No image has a labelled pixel.
    """
    order = [int(index) for index in np.argsort(-ious, kind="stable") if ious[index] >= 0]
    if not order:
        raise ValueError(
            "A gallery shows labelled images; this split has none. Leave --gallery out."
        )
    places = {order[-1]: "worst", order[(len(order) - 1) // 2]: "median", order[0]: "best"}
    return dict(reversed(places.items()))


def write(file: pathlib.Path, dataset: Dataset, results: Mapping[str, Result]) -> None:
    """Draws a row for each image: the image, its label, and the answer of all that was scored.

    Which images are shown is decided by the first of them, by the mean IoU of each image.

    Args:
        file: Ends in .png, .jpg or .jpeg.
        dataset: The split.
        results: By the path that was scored.

    Raises:
        ValueError: The file has another ending, or no image has a labelled pixel.
        OSError: It is there already, or cannot be written.
    """
    check(file)
    sheet = draw(dataset, results)
    with files.creating(file) as unfinished:
        sheet.save(unfinished)


def draw(dataset: Dataset, results: Mapping[str, Result]) -> Image.Image:
    """The picture that `write` writes."""
    palette = zoo.pictures.with_colours(zoo.pictures.bright_palette(), dataset.colours)
    titles = ["image", "label", *names([pathlib.Path(path) for path in results])]
    shown, rows = set(), []
    for index, why in picked(next(iter(results.values())).image_ious).items():
        image, label = dataset.example(index)
        maps = [label, *(result.scored.predict(image) for result in results.values())]
        # Of a large image every n-th pixel: colours are mixed in floats, which are large.
        step = max(1, label.shape[1] // (2 * WIDTH))
        image, *maps = (pixels[::step, ::step] for pixels in (image, *maps))
        shown.update(*(np.unique(one).tolist() for one in maps))
        visible = zoo.pictures.visible(image)
        panels = [_panel(np.broadcast_to(visible, (*visible.shape[:2], 3)))]
        for class_map in maps:
            drawn = zoo.pictures.overlay(
                visible,
                class_map,
                dataset.class_names,
                background=dataset.background,
                opacity=OPACITY,
                palette=palette,
                legend=(),
                smallest=1,
            )
            panels.append(_panel(np.asarray(drawn)))
        ious = [f"mean IoU {result.image_ious[index]:.3f}" for result in results.values()]
        rows.append(([f"{why} of {len(dataset)}", "", *ious], panels))
    return zoo.pictures.with_legend(
        _sheet(titles, rows),
        dataset.class_names,
        sorted(shown),
        untinted={dataset.background} - {None},
        palette=palette,
        size=_LETTER,
    )


def _panel(pixels: np.ndarray) -> Image.Image:
    """An image at the width that it has in the picture."""
    size = WIDTH, max(1, round(WIDTH * pixels.shape[0] / pixels.shape[1]))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def _sheet(titles: list[str], rows: list[tuple[list[str], list[Image.Image]]]) -> Image.Image:
    """Panels in rows, with a title above each column and a text above each panel."""
    line = _LETTER + 2 * _GAP
    heights = [line + panels[0].height for _, panels in rows]
    width = len(titles) * (WIDTH + _GAP) - _GAP
    sheet = Image.new("RGB", (width, line + sum(heights)), "white")
    pen, plain = ImageDraw.Draw(sheet), fonts.load(None, _LETTER)
    for column, (title, font) in enumerate(
        zip(titles, fonts.for_names(titles, _LETTER), strict=True)
    ):
        _write(pen, title, font, column, line // 2)
    top = line
    for texts, panels in rows:
        for column, (text, panel) in enumerate(zip(texts, panels, strict=True)):
            _write(pen, text, plain, column, top + line // 2)
            sheet.paste(panel, (column * (WIDTH + _GAP), top + line))
        top += line + panels[0].height
    return sheet


def _write(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, column: int, middle: int
) -> None:
    """Writes a line above a column; of one that is too long the end."""
    if font.getlength(text) > WIDTH - 2 * _GAP:
        while font.getlength(f"…{text}") > WIDTH - 2 * _GAP:
            text = text[1:]
        text = f"…{text}"
    pen.text((column * (WIDTH + _GAP) + _GAP, middle), text, fill="black", font=font, anchor="lm")
