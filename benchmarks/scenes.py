"""A sheet of scenes of `shapes`, their labels and the answers to them."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

import zoo
from recipes.data.dataset import Dataset
from zoo import fonts

GAP, TITLE = 8, 22  # pixels between the parts, and for the names above them


def sheet(
    dataset: Dataset, places: Sequence[int], answers: Mapping[str, Sequence], *, scale: int = 2
) -> Image.Image:
    """The scenes at some places of a data set, their labels and the answers, side by side.

    Args:
        dataset: Its images have one size.
        places: A row of the sheet for each.
        answers: A column for each name: the class maps `[h, w]` of the scenes.
        scale: How often each pixel is repeated along a side.
    """
    examples = [dataset.example(place) for place in places]
    palette = zoo.pictures.bright_palette()
    palette[dataset.background] = 40
    columns = {
        "image": [image for image, _ in examples],
        "label": [palette[label] for _, label in examples],
    }
    for name, class_maps in answers.items():
        columns[name] = [palette[np.array(class_map, np.uint8)] for class_map in class_maps]
    height, width = (scale * side for side in examples[0][1].shape)
    size = (len(columns) * (width + GAP) + GAP, len(examples) * (height + GAP) + TITLE + GAP)
    drawn = Image.new("RGB", size, "white")
    pen, letters = ImageDraw.Draw(drawn), fonts.load(None, 14)
    for column, (name, parts) in enumerate(columns.items()):
        x = GAP + column * (width + GAP)
        pen.text((x, GAP), name, fill="black", font=letters)
        for row, pixels in enumerate(parts):
            part = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
            drawn.paste(part, (x, TITLE + GAP + row * (height + GAP)))
    return drawn
