"""Compares the colours in which labels show their classes: an optimizer may number them anew.

A class map with a palette stores indices, and the indices are what is trained. A program that
rewrites it may keep the picture and change the indices: a person becomes an aeroplane. So an index
that occurs in a label is not shown in the colour of another class, and in a data set it has one
colour. Colours of indices that do not occur, and palettes that only show grey, say nothing.

A data set that gives its classes no colours may have any, so the rule holds where its palettes show
VOC's: where all colours that occur are VOC's; where all but one are (void is often white) and one
in the wrong place is of the rarer kind with 64 or 192 in it; and for a colour whose class has VOC's
name.
"""

import pathlib

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, Dataset
from zoo.class_names import CLASS_NAMES
from zoo.images import ENDINGS, palette_of
from zoo.pictures import voc_palette, with_colours

Colour = tuple[int, int, int]

_COMMON = 7  # the last of VOC's colours of 0 and 128 only: black, maroon, green and so on


def shown(label_file: str, values: np.ndarray) -> dict[int, Colour]:
    """The colour of each value of a label; nothing if it has no palette, or one of greys only.

    Raises:
        ImageError: The file cannot be read.
    """
    file = pathlib.Path(label_file)
    palette = palette_of(file) if file.suffix.lower() in ENDINGS and file.is_file() else None
    if palette is None:
        return {}
    colours = {
        int(value): tuple(map(int, palette[value])) for value in values[values < len(palette)]
    }
    is_grey = all(colour == (index,) * 3 for index, colour in colours.items())
    tells_apart = len(set(colours.values())) == len(colours)
    return colours if tells_apart and not is_grey else {}


def misplaced(
    label_file: str, colours: dict[int, Colour], dataset: Dataset, used: set[Colour]
) -> str | None:
    """What is wrong with a label that shows an index in the colour of another class.

    Args:
        label_file: Its name.
        colours: Of this label.
        dataset: Its split; without colours of its own it is compared with VOC's.
        used: All colours of its data set that stand for an index other than 255.
    """
    names = dict(enumerate(dataset.class_names)) | {IGNORE_LABEL: "void"}
    meant = with_colours(voc_palette(), dataset.colours)
    class_of = {tuple(map(int, meant[index])): index for index in reversed(names)}
    wrong = {
        index: class_of[colour]
        for index, colour in colours.items()
        if class_of.get(colour, index) != index
    }
    if not dataset.colours:
        foreign = len(used - class_of.keys())
        rare = any(other > _COMMON for other in wrong.values())
        if foreign > 1 or (foreign and not rare):
            wrong = {index: other for index, other in wrong.items() if _is_vocs(names, other)}
    if not wrong:
        return None
    index, other = next(iter(wrong.items()))
    own = (
        " Or save it as RGB, and give classes.txt the colours, as NAME R G B; if the colours are "
        "your own, give it those."
    )
    return (
        f"{label_file}: an index is shown in the colour of its class; {index} "
        f"({names.get(index, 'no class')}) is shown in {colours[index]}, the colour of {other} "
        f"({names[other]}). A program may have numbered the palette anew: put the file there that "
        f"it was given.{own if dataset.name == 'folder' else ''}"
    )


def _is_vocs(names: dict[int, str], index: int) -> bool:
    """Whether a class has VOC's name; black, VOC's background, is the colour of many things."""
    return index == IGNORE_LABEL or (
        0 < index < len(CLASS_NAMES["voc"]) and names[index] == CLASS_NAMES["voc"][index]
    )


def contradiction(
    seen: dict[int, tuple[Colour, str]], colours: dict[int, Colour], label_file: str
) -> str | None:
    """What is wrong with a label that shows an index in another colour than an earlier one.

    Args:
        seen: The colour of each index so far and its file; those of this label are added.
        colours: Of this label.
        label_file: Its name.
    """
    for index, colour in colours.items():
        other, file = seen.setdefault(index, (colour, label_file))
        if other != colour and index != IGNORE_LABEL:  # void is void in any colour
            return (
                f"{label_file}: in a data set an index has one colour; this shows {index} in "
                f"{colour}, and {file} in {other}. A program may have numbered one of the palettes "
                "anew: put the file there that it was given, or save both with one palette."
            )
    return None
